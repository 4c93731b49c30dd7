import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { generatePrivateKey } from '../../lib/keys/generate.ts';
import { signerFromKeyObject } from '../../lib/keys/key-signer.ts';
import type { Signer } from '../../lib/keys/signer.ts';
import { GantryError } from '../../lib/errors.ts';
import {
  draftFrom,
  finishDraft,
  isBasedOn,
  isPublished,
  pendingRequest,
  signDraft,
  type Change,
  type Draft,
} from '../../lib/repository/draft.ts';
import { decodeDraft, encodeDraft } from '../../lib/repository/draft-file.ts';
import { parseExpiryPolicy } from '../../lib/repository/expiry.ts';
import { draftRoot, finishRoot } from '../../lib/repository/root-draft.ts';
import { trustRepository, type PublishedRoles, type TrustedRepository } from '../../lib/repository/trusted.ts';
import { emptyManifest, parseManifest, type Manifest } from '../../lib/release/manifest.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import { signingPayload } from '../../lib/tuf/payload.ts';

const NOW = new Date('2026-01-01T00:00:00Z');
const POLICY = parseExpiryPolicy({});
const OPTIONS = { now: NOW, policy: POLICY };
const METAL = { variant: 'metal', arch: 'x86_64' };
const FIRST = { targets: 1, snapshot: 1, timestamp: 1 };

interface Scene {
  readonly targets: Signer;
  readonly online: Signer;
  readonly empty: TrustedRepository;
}

async function scene(): Promise<Scene> {
  const [root, targets, online] = await Promise.all([1, 2, 3].map(async () => signerFromKeyObject(await generatePrivateKey('ed25519'))));
  assert.ok(root && targets && online);
  const one = (signer: Signer): { readonly keys: readonly Signer['key'][]; readonly threshold: number } => ({
    keys: [signer.key],
    threshold: 1,
  });
  const draft = draftRoot({ root: one(root), targets: one(targets), snapshot: one(online), timestamp: one(online) }, NOW, POLICY);
  const chain = finishRoot({ ...draft, signatures: [await root.sign(signingPayload(draft.signed))] });
  return { targets, online, empty: trustRepository(chain, emptyManifest()) };
}

const PUT: Change = { kind: 'put-target', path: 'a.img', file: { length: 3, hashes: { sha256: sha256Hex(Buffer.from('abc')) } } };

/** The targets that `addUpdate` names. */
const IMAGES: readonly Change[] = ['b', 'r', 'h'].map((path) => ({
  kind: 'put-target',
  path,
  file: { length: 3, hashes: { sha256: sha256Hex(Buffer.from('abc')) } },
}));

function addUpdate(version: string): Change {
  return {
    kind: 'add-update',
    update: { variant: 'metal', arch: 'x86_64', version, images: { boot: 'b', root: 'r', hash: 'h' }, migrations: [] },
  };
}

async function signAll({ targets, online, empty }: Scene, draft: Draft, published: TrustedRepository = empty): Promise<Draft> {
  let current = draft;
  for (let request = pendingRequest(current, published); request !== undefined; request = pendingRequest(current, published)) {
    const signer = request.role === 'targets' ? targets : online;
    current = signDraft(current, [await signer.sign(request.payload)], published, OPTIONS);
  }
  return current;
}

function publishedAfter(published: TrustedRepository, roles: PublishedRoles, manifest: Manifest): TrustedRepository {
  return trustRepository(published.chain, manifest, { root: published.chain.latest.role, published: roles });
}

test('draftFrom() drafts parents only when their child is complete', async () => {
  const here = await scene();
  const draft = draftFrom(here.empty, [PUT], { ...OPTIONS, versions: FIRST });
  assert.deepEqual(Object.keys(draft.roles), ['targets']);
  const request = pendingRequest(draft, here.empty);
  assert.deepEqual(request?.missing, [{ role: 'targets', version: 1, have: 0, need: 1, candidates: [here.targets.keyId] }]);
  const signed = signDraft(draft, [await here.targets.sign(request.payload)], here.empty, OPTIONS);
  assert.deepEqual(Object.keys(signed.roles), ['targets', 'snapshot']);
  assert.throws(() => finishDraft(signed, here.empty), { code: 'repository/incomplete' });
});

test('finishDraft() gives roles that name each other and a manifest that targets name', async () => {
  const here = await scene();
  const { roles, newTargets, manifest } = finishDraft(
    await signAll(here, draftFrom(here.empty, [PUT, ...IMAGES, addUpdate('1.0.0')], { ...OPTIONS, versions: FIRST })),
    here.empty,
  );
  assert.ok(manifest !== undefined && newTargets !== undefined);
  assert.equal(roles.targets.role.targets['manifest.json']?.hashes.sha256, sha256Hex(manifest));
  assert.deepEqual(
    parseManifest(manifest).updates.map(({ version }) => version),
    ['1.0.0'],
  );
  assert.equal(roles.snapshot.role.meta['targets.json']?.hashes?.sha256, roles.targets.sha256);
  assert.equal(roles.timestamp.role.expires, '2026-01-08T00:00:00Z');
  // What was finished is what a verifier accepts.
  publishedAfter(here.empty, roles, parseManifest(manifest));
});

test('draftFrom() keeps earlier targets and updates, and refuses what is released already', async () => {
  const here = await scene();
  const first = finishDraft(
    await signAll(here, draftFrom(here.empty, [PUT, ...IMAGES, addUpdate('1.0.0')], { ...OPTIONS, versions: FIRST })),
    here.empty,
  );
  const published = publishedAfter(here.empty, first.roles, parseManifest(first.manifest ?? new Uint8Array()));
  const second = draftFrom(published, [addUpdate('1.1.0')], { ...OPTIONS, versions: { targets: 2, snapshot: 2, timestamp: 2 } });
  assert.deepEqual(Object.keys(second.roles.targets?.signed.targets ?? {}).toSorted(), ['a.img', 'b', 'h', 'manifest.json', 'r']);
  assert.throws(() => draftFrom(published, [addUpdate('1.0.0')], { ...OPTIONS, versions: FIRST }), { code: 'release/duplicate' });
  assert.throws(() => draftFrom(published, [addUpdate('0.9.0')], { ...OPTIONS, versions: FIRST }), { code: 'release/not-newer' });
  const gone: Change = { kind: 'remove-target', path: 'never-there' };
  assert.throws(() => draftFrom(published, [gone], { ...OPTIONS, versions: FIRST }), {
    code: 'repository/bad-change',
    details: { path: 'never-there' },
  });
});

test('draftFrom() without changes renews snapshot and timestamp only; renew-targets renews all', async () => {
  const here = await scene();
  const first = finishDraft(await signAll(here, draftFrom(here.empty, [PUT], { ...OPTIONS, versions: FIRST })), here.empty);
  const published = publishedAfter(here.empty, first.roles, emptyManifest());
  const versions = { targets: 2, snapshot: 2, timestamp: 2 };
  const online = await signAll(here, draftFrom(published, [], { ...OPTIONS, versions }), published);
  assert.equal(finishDraft(online, published).newTargets, undefined);
  const all = await signAll(here, draftFrom(published, [{ kind: 'renew-targets' }], { ...OPTIONS, versions }), published);
  assert.equal(finishDraft(all, published).newTargets?.role.version, 2);
});

test('finishDraft() refuses a draft that was overtaken, and isPublished() knows one that went through', async () => {
  const here = await scene();
  const draft = await signAll(here, draftFrom(here.empty, [PUT], { ...OPTIONS, versions: FIRST }));
  const other = await signAll(here, draftFrom(here.empty, [], { ...OPTIONS, versions: FIRST }));
  const published = publishedAfter(here.empty, finishDraft(other, here.empty).roles, emptyManifest());
  assert.ok(!isBasedOn(draft, published));
  assert.throws(() => finishDraft(draft, published), { code: 'repository/moved-on' });
  assert.ok(isPublished(other, published));
  assert.ok(!isPublished(draft, published));
});

test('signDraft() refuses the signature of a key of another role', async () => {
  const here = await scene();
  const draft = draftFrom(here.empty, [PUT], { ...OPTIONS, versions: FIRST });
  const request = pendingRequest(draft, here.empty);
  assert.ok(request !== undefined);
  const wrong = await here.online.sign(request.payload);
  assert.throws(() => signDraft(draft, [wrong], here.empty, OPTIONS), {
    code: 'keys/bad-signature',
    details: { keyId: here.online.keyId },
  });
});

test('draftFrom() refuses target names that some client cannot fetch', async () => {
  const { empty } = await scene();
  for (const path of ['../a', 'a b', '.hidden', 'a//b', 'ünïcode']) {
    assert.throws(() => draftFrom(empty, [{ ...PUT, path }], { ...OPTIONS, versions: FIRST }), {
      code: 'tuf/bad-target-path',
      details: { path },
    });
  }
});

test('decodeDraft() gives back what encodeDraft() wrote, at every stage of signing', async () => {
  const here = await scene();
  const draft = draftFrom(here.empty, [PUT, ...IMAGES, addUpdate('1.0.0')], { ...OPTIONS, versions: FIRST });
  for (const stage of [draft, await signAll(here, draft)]) {
    const { draft: back, repository } = decodeDraft(encodeDraft(stage, METAL));
    assert.deepEqual(repository, METAL);
    assert.deepEqual(encodeDraft(back, METAL), encodeDraft(stage, METAL));
    assert.deepEqual(back.changes, stage.changes);
  }
});

test('decodeDraft() gives a draft or a GantryError for any bytes', async () => {
  const here = await scene();
  const good = encodeDraft(draftFrom(here.empty, [PUT], { ...OPTIONS, versions: FIRST }), METAL);
  const attempt = (bytes: Uint8Array): void => {
    try {
      decodeDraft(bytes);
    } catch (error) {
      assert.ok(error instanceof GantryError, String(error));
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), attempt));
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), (at, value) => {
      const bytes = Uint8Array.from(good);
      bytes[at] = value;
      attempt(bytes);
    }),
  );
});

test('trustRepository() refuses roles that do not fit together', async () => {
  const here = await scene();
  const one = finishDraft(await signAll(here, draftFrom(here.empty, [PUT], { ...OPTIONS, versions: FIRST })), here.empty).roles;
  const two = finishDraft(await signAll(here, draftFrom(here.empty, [], { ...OPTIONS, versions: FIRST })), here.empty).roles;
  for (const mixed of [
    { ...one, targets: two.targets },
    { ...one, snapshot: two.snapshot },
  ]) {
    assert.throws(() => publishedAfter(here.empty, mixed, emptyManifest()), { code: 'repository/mismatch' });
  }
  const stranger = await scene();
  assert.throws(() => publishedAfter(stranger.empty, one, emptyManifest()), { code: 'tuf/threshold' });
});
