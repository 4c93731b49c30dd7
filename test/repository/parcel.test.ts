/** Drafts on their way: what comes back is what was sent, and whatever else comes is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { openParcel } from '../../lib/publish/parcels.ts';
import { GantryError } from '../../lib/errors.ts';
import { DRAFT_MAX_BYTES } from '../../lib/repository/draft-file.ts';
import { decodeParcel, encodeParcel, type RepositoryParcel } from '../../lib/repository/parcel.ts';
import { draftRoot, specOf } from '../../lib/repository/root-draft.ts';
import { signingPayload } from '../../lib/tuf/payload.ts';
import type { Envelope, Signature, Targets } from '../../lib/tuf/types.ts';
import { draftScene, parcelOf, SCENE_OPTIONS, secondDraft, signedBy, type DraftScene } from '../support/draft-scene.ts';

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

function withTargets(parcel: RepositoryParcel, change: (targets: Envelope<Targets>) => Envelope<Targets>): RepositoryParcel {
  const { targets } = parcel.draft.roles;
  assert.ok(targets !== undefined);
  return { ...parcel, draft: { ...parcel.draft, roles: { ...parcel.draft.roles, targets: change(targets) } } };
}

test('decodeParcel() gives back what encodeParcel() wrote, at every stage of signing', async () => {
  const scene = await draftScene();
  let draft = secondDraft(scene);
  for (const by of [[], scene.targets.slice(0, 1), scene.targets.slice(1), [scene.online], [scene.online]]) {
    draft = await signedBy(scene, draft, by);
    const bytes = encodeParcel(parcelOf(scene, draft));
    assert.equal(textOf(encodeParcel(decodeParcel(bytes))), textOf(bytes));
    openParcel(decodeParcel(bytes), scene.published.chain, SCENE_OPTIONS);
  }
});

test('decodeParcel() gives a parcel or repository/bad-draft for any bytes', async () => {
  const scene = await draftScene();
  const good = encodeParcel(parcelOf(scene, await signedBy(scene, secondDraft(scene), scene.targets)));
  const attempt = (bytes: Uint8Array): void => {
    try {
      const parcel = decodeParcel(bytes);
      try {
        openParcel(parcel, scene.published.chain, SCENE_OPTIONS);
      } catch (error) {
        assert.ok(error instanceof GantryError, String(error));
      }
    } catch (error) {
      assert.ok(error instanceof GantryError && error.code === 'repository/bad-draft', String(error));
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), attempt));
  fc.assert(fc.property(fc.json({ maxDepth: 6 }), (text) => attempt(Buffer.from(text))));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 }), (edits) => {
      const bytes = Uint8Array.from(good);
      for (const [at, value] of edits) bytes[at] = value;
      attempt(bytes);
    }),
    { numRuns: 300 },
  );
});

test('decodeParcel() is bounded in length, depth and roots', async () => {
  const scene = await draftScene();
  const deep = `{"format":1,"x":${'['.repeat(200)}${']'.repeat(200)}}`;
  const parcel = parcelOf(scene, secondDraft(scene));
  const [root] = parcel.roots;
  assert.ok(root !== undefined);
  const many = encodeParcel({ ...parcel, roots: Array.from({ length: 1025 }, () => root) });
  for (const bytes of [Buffer.alloc(DRAFT_MAX_BYTES + 1, 0x20), Buffer.from(deep), many]) {
    assert.throws(() => decodeParcel(bytes), { code: 'repository/bad-draft' });
  }
});

const BAD_SIGNATURES: Readonly<Record<string, (scene: DraftScene, good: Signature) => Promise<Signature>>> = {
  'a key of another role': async (scene) => scene.online.sign(signingPayload(secondDraft(scene).roles.targets?.signed ?? assert.fail())),
  'a stranger': async (scene) => scene.stranger.sign(signingPayload(secondDraft(scene).roles.targets?.signed ?? assert.fail())),
  'the right key over other bytes': async ({ targets }) => (targets[0] ?? assert.fail()).sign(Buffer.from('other bytes')),
  'the right signature under the id of another holder': async ({ targets }, good) => ({
    ...good,
    keyid: targets[2]?.keyId ?? assert.fail(),
  }),
};

for (const [what, make] of Object.entries(BAD_SIGNATURES)) {
  test(`openParcel() refuses a file with a signature by ${what}, though the others are good`, async () => {
    const scene = await draftScene();
    const parcel = parcelOf(scene, await signedBy(scene, secondDraft(scene), scene.targets.slice(0, 1)));
    const [good] = parcel.draft.roles.targets?.signatures ?? [];
    assert.ok(good !== undefined);
    const bad = await make(scene, good);
    const others = bad.keyid === good.keyid ? [] : [good];
    const forged = withTargets(parcel, ({ signed }) => ({ signed, signatures: [...others, bad] }));
    assert.throws(() => openParcel(decodeParcel(encodeParcel(forged)), scene.published.chain, SCENE_OPTIONS), {
      code: 'keys/bad-signature',
    });
  });
}

test('openParcel() refuses roots, bases and bytes that do not fit what the reader trusts', async () => {
  const scene = await draftScene();
  const other = await draftScene();
  const parcel = parcelOf(scene, secondDraft(scene));
  const refused = (hostile: RepositoryParcel, code: string): void => {
    assert.throws(() => openParcel(decodeParcel(encodeParcel(hostile)), scene.published.chain, SCENE_OPTIONS), { code });
  };
  refused({ ...parcel, roots: other.published.chain.roots }, 'repository/root-chain');
  refused({ ...parcel, base: parcelOf(other, secondDraft(other)).base ?? assert.fail() }, 'repository/bad-draft');
  const { base: _, ...withoutBase } = parcel;
  refused(withoutBase, 'repository/bad-draft');
  refused({ ...parcel, base: { ...(parcel.base ?? assert.fail()), manifest: Buffer.from('{}') } }, 'repository/bad-draft');
  refused({ ...parcel, draft: { ...parcel.draft, changes: parcel.draft.changes.slice(1) } }, 'repository/bad-draft');
  const more = { 'extra.img': { length: 1, hashes: parcel.base?.roles.targets.role.targets['first.img']?.hashes ?? assert.fail() } };
  refused(
    withTargets(parcel, ({ signed }) => ({ signed: { ...signed, targets: { ...signed.targets, ...more } }, signatures: [] })),
    'repository/bad-draft',
  );
});

test('openParcel() takes a newer root of its own chain, and a root only when what is before it is known', async () => {
  const scene = await draftScene();
  const { chain } = scene.published;
  const next = draftRoot(specOf(chain.latest.role), SCENE_OPTIONS.now, SCENE_OPTIONS.policy, chain.latest.role);
  const signature = await scene.root.sign(signingPayload(next.signed));
  const parcel = { kind: 'root', product: 'my-os', roots: chain.roots, root: { ...next, signatures: [signature] } } as const;
  assert.equal(openParcel(decodeParcel(encodeParcel(parcel)), chain, SCENE_OPTIONS).kind, 'root');
  assert.throws(() => openParcel(parcel, undefined, SCENE_OPTIONS), { code: 'repository/root-chain' });
  const stray = await scene.online.sign(signingPayload(next.signed));
  assert.throws(() => openParcel({ ...parcel, root: { ...next, signatures: [signature, stray] } }, chain, SCENE_OPTIONS), {
    code: 'keys/bad-signature',
  });
});
