/** What people read before they sign: computed from the bytes, and complete. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { meaningOfMeta, meaningOfTargets } from '../../lib/repository/meaning.ts';
import { meaningOfRoot } from '../../lib/repository/meaning-root.ts';
import { draftRoot, specOf, type RootSpec } from '../../lib/repository/root-draft.ts';
import { emptyManifest, type Manifest, type Update } from '../../lib/release/manifest.ts';
import { spokenDigest } from '../../lib/tuf/spoken-digest.ts';
import { tufDate } from '../../lib/tuf/date.ts';
import type { KeyId, Root, Targets } from '../../lib/tuf/types.ts';
import { draftScene, SCENE_OPTIONS, type DraftScene } from '../support/draft-scene.ts';

const nameOf = (keyId: KeyId): string => keyId.slice(0, 4);
const { now, policy } = SCENE_OPTIONS;

function rootsOf({ published }: DraftScene): { readonly base: Root; readonly next: (spec: RootSpec) => Root } {
  const base = published.chain.latest.role;
  return { base, next: (spec) => draftRoot(spec, now, policy, base).signed };
}

const UPDATE: Update = {
  variant: 'metal',
  arch: 'x86_64',
  version: '1.3.0',
  max_version: '1.3.0',
  waves: {},
  images: { boot: 'b', root: 'r', hash: 'h' },
};

function targets(files: Targets['targets'] = {}, more: object = {}): Targets {
  return { _type: 'targets', spec_version: '1.0.0', version: 2, expires: tufDate(now), targets: files, ...more };
}

function sentences(next: readonly Update[], base: readonly Update[], more: Partial<Manifest> = {}): readonly string[] {
  const manifest = { ...emptyManifest(), updates: next, ...more };
  const meaning = meaningOfTargets(targets(), { base: targets(), manifest, baseManifest: { ...emptyManifest(), updates: base }, nameOf });
  assert.deepEqual(meaning.unexplained, []);
  return meaning.sentences.slice(0, -1);
}

test('meaningOfRoot() tells keys and thresholds by name', async () => {
  const scene = await draftScene();
  const { base, next } = rootsOf(scene);
  const spec = specOf(base);
  const [a, b, c] = scene.targets.map(({ keyId }) => nameOf(keyId));
  const changed = next({ ...spec, targets: { keys: [...spec.targets.keys.slice(1), scene.stranger.key], threshold: 3 } });
  assert.deepEqual(meaningOfRoot(changed, base, nameOf).sentences, [
    `adds key ${nameOf(scene.stranger.keyId)} to targets`,
    `removes key ${a} from targets`,
    'changes the threshold of targets from 2 to 3',
    `stays valid until ${base.expires}`,
  ]);
  assert.deepEqual(meaningOfRoot(changed, base, nameOf).unexplained, []);
  assert.equal(meaningOfRoot(base, undefined, nameOf).sentences[1], `lets targets be signed by 2 of ${a}, ${b}, ${c}`);
  assert.deepEqual(meaningOfRoot(base, undefined, nameOf).unexplained, []);
});

test('meaningOfRoot() and meaningOfTargets() list every member that they cannot tell', async () => {
  const scene = await draftScene();
  const { base, next } = rootsOf(scene);
  const root = next(specOf(base));
  const [keyId] = root.roles.root.keyids;
  assert.ok(keyId !== undefined);
  const { root: rootKeys, ...others } = root.roles;
  const strange: Readonly<Record<string, object>> = {
    'root.extra': { ...root, extra: 1 },
    'root.spec_version': { ...root, spec_version: '1.0.31' },
    'root.roles.mirrors': { ...root, roles: { ...root.roles, mirrors: rootKeys } },
    'root.roles.root.note': { ...root, roles: { ...others, root: { ...rootKeys, note: 'x' } } },
    [`root.keys.${keyId}`]: { ...root, keys: { ...root.keys, [keyId]: { ...root.keys[keyId], note: 'x' } } },
    [`root.keys.${scene.stranger.keyId}`]: { ...root, keys: { ...root.keys, [scene.stranger.keyId]: scene.stranger.key } },
  };
  for (const [member, value] of Object.entries(strange)) {
    // The casts stand for what came out of a file: shapes are checked, unknown members are kept.
    assert.deepEqual(meaningOfRoot(value as Root, base, nameOf).unexplained, [member]);
  }
  const context = { base: targets(), manifest: emptyManifest(), baseManifest: emptyManifest(), nameOf };
  assert.deepEqual(meaningOfTargets(targets({}, { extra: 1 }), context).unexplained, ['targets.extra']);
  assert.deepEqual(meaningOfTargets(targets({}, { delegations: { keys: {}, roles: [], extra: 1 } }), context).unexplained, [
    'targets.delegations.extra',
  ]);
});

test('a role that differs in anything but version and date has a sentence or an unexplained member', () => {
  const context = { base: targets(), manifest: emptyManifest(), baseManifest: emptyManifest(), nameOf };
  const value = fc.oneof(fc.integer(), fc.string(), fc.boolean());
  fc.assert(
    fc.property(fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/u), value, { minKeys: 1 }), (members) => {
      const changed = { ...targets(), ...members, version: 3 };
      const differs = Object.entries(members).filter(
        ([name, member]) => name !== 'version' && !Object.is(member, { ...targets() }[name as 'expires']),
      );
      // What the parser refuses never gets here.
      if (differs.some(([name]) => ['targets', 'expires', 'delegations'].includes(name))) return;
      const { unexplained } = meaningOfTargets(changed, context);
      assert.deepEqual(unexplained.toSorted(), differs.flatMap(([name]) => (name === '_type' ? [] : [`targets.${name}`])).toSorted());
    }),
  );
});

test('meaningOfTargets() tells releases, waves, recalls and migrations', () => {
  const waves = { '512': '2026-02-01T00:00:00Z', '2048': '2026-02-03T00:00:00Z' };
  assert.deepEqual(sentences([UPDATE], []), ['adds release 1.3.0 of metal/x86_64 with 3 images']);
  assert.deepEqual(sentences([{ ...UPDATE, waves }], []), [
    'adds release 1.3.0 of metal/x86_64 with 3 images in 2 waves from 2026-02-01T00:00:00Z to 2026-02-03T00:00:00Z',
  ]);
  assert.deepEqual(sentences([], [UPDATE]), ['removes release 1.3.0 of metal/x86_64: nobody is offered it any more']);
  assert.deepEqual(sentences([{ ...UPDATE, max_version: '1.2.0' }], [UPDATE]), [
    'recalls release 1.3.0 of metal/x86_64: hosts that run it go back to 1.2.0 or before',
  ]);
  assert.deepEqual(sentences([UPDATE], [{ ...UPDATE, waves }]), [
    'changes when hosts are offered release 1.3.0 of metal/x86_64: everyone at once',
  ]);
  assert.deepEqual(sentences([], [], { migrations: { '(1.2.0, 1.3.0)': ['m'] } }), ['adds the step "(1.2.0, 1.3.0)": m']);
  const unknown = { ...UPDATE, later: 1 };
  assert.deepEqual(sentences([unknown], [UPDATE]), ['changes the member "later" of release 1.3.0 of metal/x86_64']);
});

test('meaningOfTargets() quotes hostile names, and tells twenty files of a kind', () => {
  const file = { length: 3, hashes: { sha256: '0'.repeat(64) } } as unknown as Targets['targets'][string];
  const files = Object.fromEntries(Array.from({ length: 25 }, (_, index) => [`a\u001b[2J${index}`, file]));
  const { sentences: told } = meaningOfTargets(targets(files), {
    base: targets(),
    manifest: emptyManifest(),
    baseManifest: emptyManifest(),
    nameOf,
  });
  assert.equal(told.length, 22);
  assert.equal(told[20], 'and 5 more of this kind');
  assert.ok(told.every((sentence) => !sentence.includes('\u001b')));
});

test('meaningOfMeta() tells which versions a parent names', async () => {
  const { published } = await draftScene();
  const snapshot = published.published?.snapshot.role;
  assert.ok(snapshot !== undefined);
  const next = { ...snapshot, meta: { 'targets.json': { ...snapshot.meta['targets.json'], version: 7 } } };
  assert.deepEqual(meaningOfMeta(next, snapshot).sentences, [
    'names targets.json version 7, was 1',
    `stays valid until ${snapshot.expires}`,
  ]);
});

test('spokenDigest() is the first half of the SHA-256 in groups of four', () => {
  assert.equal(spokenDigest(Buffer.from('abc')), 'ba78 16bf 8f01 cfea 4141 40de 5dae 2223');
});
