import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { binNames, binOf } from '../../lib/repository/delegations.ts';
import { draftFrom, finishDraft, pendingRequests, type Change, type Draft } from '../../lib/repository/draft.ts';
import { assertDraftHolds } from '../../lib/repository/draft-check.ts';
import { decodeDraft, encodeDraft } from '../../lib/repository/draft-file.ts';
import { withSignatures } from '../../lib/repository/draft-roles.ts';
import { treeAfter } from '../../lib/repository/changes.ts';
import { mergeDrafts } from '../../lib/repository/merge.ts';
import { decodeParcel, encodeParcel, trustedBase } from '../../lib/repository/parcel.ts';
import { redraftOn } from '../../lib/repository/redraft.ts';
import { trustRepository, withDelegated, type TrustedRepository } from '../../lib/repository/trusted.ts';
import { parseManifest } from '../../lib/release/manifest.ts';
import { isCovered } from '../../lib/tuf/lint/tree.ts';
import { draftScene, parcelOf, putTarget, SCENE_OPTIONS, signedBy, type DraftScene } from '../support/draft-scene.ts';

const SECOND = { targets: 2, snapshot: 2, timestamp: 2 };
const OPTIONS = { ...SCENE_OPTIONS, versions: SECOND };

function keysOf(
  signers: readonly DraftScene['online'][],
  threshold = 1,
): { readonly keys: Record<string, DraftScene['online']['key']>; readonly threshold: number } {
  return { keys: Object.fromEntries(signers.map(({ keyId, key }) => [keyId, key])), threshold };
}

function addApps(scene: DraftScene, threshold = 1): Change {
  const { stranger, online } = scene;
  return { kind: 'add-delegation', name: 'apps', paths: ['apps/*'], terminating: false, ...keysOf([stranger, online], threshold) };
}

/** Signs every role that waits, until none does. */
async function signAll(scene: DraftScene, draft: Draft): Promise<Draft> {
  let current = draft;
  for (
    let requests = pendingRequests(current, scene.published);
    requests.length > 0;
    requests = pendingRequests(current, scene.published)
  ) {
    const [{ role } = assert.fail()] = requests;
    current = await signedBy(
      scene,
      current,
      role === 'targets' ? scene.targets.slice(0, 2) : [role === 'apps' ? scene.stranger : scene.online],
    );
  }
  return current;
}

/** What a publication of the draft leaves behind. */
function publishedAfter(scene: DraftScene, draft: Draft): TrustedRepository {
  const { chain } = scene.published;
  const { roles, newDelegated, manifest } = finishDraft(draft, scene.published);
  const next = manifest === undefined ? scene.published.manifest : parseManifest(manifest);
  return withDelegated(
    trustRepository(chain, next, { root: chain.latest.role, published: roles }),
    new Map(
      [...scene.published.delegated, ...newDelegated].filter(
        ([name]) => roles.targets.role.delegations?.roles.some((role) => role.name === name) === true,
      ),
    ),
  );
}

test('a new delegated role and the targets role wait together, and the snapshot names both', async () => {
  const scene = await draftScene();
  const draft = draftFrom(scene.published, [addApps(scene)], OPTIONS);
  assert.deepEqual(
    pendingRequests(draft, scene.published).map(({ role }) => role),
    ['apps', 'targets'],
  );
  const signed = await signAll(scene, draft);
  const after = publishedAfter(scene, signed);
  assert.deepEqual(Object.keys(after.published?.snapshot.role.meta ?? {}).toSorted(), ['apps.json', 'targets.json']);
  assert.deepEqual(
    after.published?.targets.role.delegations?.roles.map(({ name, threshold }) => [name, threshold]),
    [['apps', 1]],
  );
});

test('a target of a delegated role changes that role, and leaves the targets role alone', async () => {
  const scene = await draftScene();
  const published = publishedAfter(scene, await signAll(scene, draftFrom(scene.published, [addApps(scene)], OPTIONS)));
  const change = { ...putTarget('apps/a'), role: 'apps' } as Change;
  const draft = draftFrom(published, [change], {
    ...SCENE_OPTIONS,
    versions: { targets: 3, snapshot: 3, timestamp: 3, delegated: { apps: 7 } },
  });
  assert.deepEqual(Object.keys(draft.roles), ['delegated']);
  assert.equal(draft.roles.delegated?.['apps']?.signed.version, 7);
  const after = publishedAfter({ ...scene, published }, await signAll({ ...scene, published }, draft));
  assert.equal(after.published?.targets.sha256, published.published?.targets.sha256);
  assert.deepEqual(Object.keys(after.delegated.get('apps')?.role.targets ?? {}), ['apps/a']);
});

test('a delegation that is taken back goes with its keys, and stays in the snapshot, as clients want it', async () => {
  const scene = await draftScene();
  const published = publishedAfter(scene, await signAll(scene, draftFrom(scene.published, [addApps(scene)], OPTIONS)));
  const options = { ...SCENE_OPTIONS, versions: { targets: 3, snapshot: 3, timestamp: 3 } };
  const after = publishedAfter(
    { ...scene, published },
    await signAll({ ...scene, published }, draftFrom(published, [{ kind: 'remove-delegation', name: 'apps' }], options)),
  );
  assert.deepEqual(Object.keys(after.published?.snapshot.role.meta ?? {}), ['targets.json', 'apps.json']);
  assert.equal(after.published?.targets.role.delegations, undefined);
});

test('a key that takes the place of another one signs the role from then on', async () => {
  const scene = await draftScene();
  const published = publishedAfter(scene, await signAll(scene, draftFrom(scene.published, [addApps(scene)], OPTIONS)));
  const next = scene.targets[2] ?? assert.fail();
  const change: Change = { kind: 'replace-delegation-key', name: 'apps', from: scene.stranger.keyId, to: next.keyId, key: next.key };
  const draft = draftFrom(published, [change, { kind: 'set-delegation-threshold', name: 'apps', threshold: 2 }], {
    ...SCENE_OPTIONS,
    versions: { targets: 3, snapshot: 3, timestamp: 3 },
  });
  const [request] = pendingRequests(draft, published);
  assert.deepEqual(request?.candidates.toSorted(), [scene.online.keyId, next.keyId].toSorted());
  assert.equal(request?.missing[0]?.need, 2);
  const old = await scene.stranger.sign(request?.payload ?? new Uint8Array());
  assert.throws(() => withSignatures(draft, 'apps', [old], published), { code: 'keys/bad-signature' });
});

for (const [what, changes, message] of [
  ['a threshold above the keys', (scene: DraftScene) => [addApps(scene, 3)], /3 of 2 keys would have to sign it/u],
  [
    'another delegation of the same name',
    (scene: DraftScene) => [addApps(scene), { ...addApps(scene), paths: ['x'] }],
    /there is such a delegation already/u,
  ],
  [
    'a target that was not delegated',
    (scene: DraftScene) => [addApps(scene), { ...putTarget('other/a'), role: 'apps' }],
    /is not delegated to it: its paths are "apps\/\*"/u,
  ],
  ['a role that there is not', () => [{ ...putTarget('a'), role: 'apps' }], /there is no such delegation/u],
  ['seven bins', (scene: DraftScene) => [{ kind: 'split-targets', bins: 7, ...keysOf([scene.online]) }], /expected a power of two/u],
  [
    'two splits',
    (scene: DraftScene) => [4, 4].map((bins) => ({ kind: 'split-targets', bins, ...keysOf([scene.online]) })),
    /split already/u,
  ],
] as const) {
  test(`draftFrom() refuses ${what}`, async () => {
    const scene = await draftScene();
    assert.throws(() => draftFrom(scene.published, changes(scene) as readonly Change[], OPTIONS), {
      code: 'repository/bad-change',
      message,
    });
  });
}

test('draftFrom() refuses a role that clients would take for a top-level one', async () => {
  const scene = await draftScene();
  for (const name of ['root', 'snapshot', '1st', 'a/b', '']) {
    assert.throws(() => draftFrom(scene.published, [{ ...addApps(scene), name } as Change], OPTIONS), { code: 'tuf/not-portable' });
  }
});

test('a split puts every target into the one bin that clients look in, and keeps what is on offer', async () => {
  const scene = await draftScene();
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 11 }),
      fc.uniqueArray(
        fc
          .stringMatching(/^[a-z0-9/._-]{1,20}$/u)
          .filter((path) => /^[a-z0-9][a-z0-9._-]*(?:\/[a-z0-9][a-z0-9._-]*)*$/u.test(path) && path !== 'manifest.json'),
        { maxLength: 40 },
      ),
      async (power, paths) => {
        const bins = 2 ** power;
        const changes: readonly Change[] = [
          ...paths.map((path) => putTarget(path)),
          { kind: 'split-targets', bins, ...keysOf([scene.online]) },
        ];
        const { targets, delegated, delegations } = treeAfter(scene.published, changes);
        assert.deepEqual(Object.keys(targets), ['manifest.json']);
        const roles = delegations?.roles ?? [];
        assert.deepEqual(
          roles.map(({ name }) => name),
          binNames(bins),
        );
        for (const path of [...paths, 'first.img']) {
          const holders = roles.filter((role) => isCovered(role, path));
          assert.deepEqual(
            holders.map(({ name }) => name),
            [binOf(delegations, path)],
          );
          assert.ok(Object.hasOwn(delegated.get(holders[0]?.name ?? '') ?? {}, path));
        }
        // Prefixes of one length, each once: they cover every digest.
        const prefixes = roles.flatMap(({ path_hash_prefixes: own = [] }) => own);
        assert.equal(new Set(prefixes).size, 16 ** (prefixes[0]?.length ?? 0));
      },
    ),
    { numRuns: 60 },
  );
});

test('binOf() agrees with the digest that the specification names', () => {
  const digest = createHash('sha256').update('a/b').digest('hex');
  const role = (name: string, prefix: string): object => ({
    name,
    keyids: [],
    threshold: 1,
    terminating: false,
    path_hash_prefixes: [prefix],
  });
  const roles = [role('other', digest.startsWith('0') ? '1' : '0'), role('mine', digest.slice(0, 3))] as never;
  assert.equal(binOf({ keys: {}, roles }, 'a/b'), 'mine');
  assert.equal(binOf(undefined, 'a/b'), undefined);
});

test('drafts with delegated roles come back from their files, and merge whatever the order', async () => {
  const scene = await draftScene();
  const draft = draftFrom(scene.published, [addApps(scene, 2), { ...putTarget('apps/a'), role: 'apps' } as Change], OPTIONS);
  const [request = assert.fail()] = pendingRequests(draft, scene.published);
  const [a, b] = await Promise.all(
    [scene.stranger, scene.online].map(async (signer) =>
      withSignatures(draft, 'apps', [await signer.sign(request.payload)], scene.published),
    ),
  );
  assert.ok(a && b);
  const merged = mergeDrafts(a, b);
  assert.deepEqual(
    encodeDraft(merged, { variant: 'metal', arch: 'x86_64' }),
    encodeDraft(mergeDrafts(b, a), { variant: 'metal', arch: 'x86_64' }),
  );
  assert.equal(merged.roles.delegated?.['apps']?.signatures.length, 2);
  assert.deepEqual(decodeDraft(encodeDraft(merged, { variant: 'metal', arch: 'x86_64' })).draft, merged);
  assertDraftHolds(merged, scene.published, SCENE_OPTIONS);
  assert.throws(() => mergeDrafts(a, draftFrom(scene.published, [addApps(scene)], OPTIONS)), { code: 'repository/other-draft' });
});

test('a parcel carries the delegated roles that its draft changes, and proves them', async () => {
  const scene = await draftScene();
  const published = publishedAfter(scene, await signAll(scene, draftFrom(scene.published, [addApps(scene)], OPTIONS)));
  const draft = draftFrom(published, [{ ...putTarget('apps/a'), role: 'apps' } as Change], {
    ...SCENE_OPTIONS,
    versions: { targets: 3, snapshot: 3, timestamp: 3 },
  });
  const parcel = parcelOf({ ...scene, published }, draft);
  const back = decodeParcel(encodeParcel(parcel));
  assert.ok(back.kind === 'repository' && back.base !== undefined);
  assert.deepEqual([...trustedBase(back, published.chain).delegated.keys()], ['apps']);
  const other = published.published?.targets ?? assert.fail();
  const forged = { ...back, base: { ...back.base, delegated: new Map([['apps', other]]) } };
  assert.throws(() => trustedBase(forged, published.chain), { code: 'tuf/threshold' });
  const stranger = { ...back, base: { ...back.base, delegated: new Map([['nobody', other]]) } };
  assert.throws(() => trustedBase(stranger, published.chain), { code: 'repository/mismatch' });
});

test('redraftOn() keeps the signatures of a delegated role whose bytes stay', async () => {
  const scene = await draftScene();
  const changes = [addApps(scene), { ...putTarget('apps/a'), role: 'apps' } as Change];
  const signed = await signedBy(scene, draftFrom(scene.published, changes, OPTIONS), [scene.stranger]);
  const again = redraftOn(scene.published, signed, { ...SCENE_OPTIONS, versions: { targets: 3, snapshot: 3, timestamp: 2 } });
  assert.equal(again.roles.delegated?.['apps']?.signatures.length, 1);
  assert.equal(again.roles.targets?.signed.version, 3);
});

test('assertDraftHolds() refuses a delegated role that no change makes', async () => {
  const scene = await draftScene();
  const draft = draftFrom(scene.published, [addApps(scene)], OPTIONS);
  const apps = draft.roles.delegated?.['apps'] ?? assert.fail();
  const { targets } = scene.published.published?.targets.role ?? assert.fail();
  for (const delegated of [{ apps: { ...apps, signed: { ...apps.signed, targets } } }, { apps, more: apps }, {}]) {
    assert.throws(() => assertDraftHolds({ ...draft, roles: { ...draft.roles, delegated } }, scene.published, SCENE_OPTIONS), {
      code: 'repository/bad-draft',
    });
  }
});
