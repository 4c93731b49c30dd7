/** Signatures from several places are put together in any order, any number of times, and always give the same bytes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Signer } from '../../lib/keys/signer.ts';
import { advanceDraft, finishDraft, type Draft } from '../../lib/repository/draft.ts';
import { encodeDraft } from '../../lib/repository/draft-file.ts';
import { mergeDrafts, mergeEnvelopes } from '../../lib/repository/merge.ts';
import { draftRoot } from '../../lib/repository/root-draft.ts';
import { sealEnvelope } from '../../lib/tuf/role.ts';
import { signingPayload } from '../../lib/tuf/payload.ts';
import type { Envelope, Root } from '../../lib/tuf/types.ts';
import { draftScene, SCENE_METAL, SCENE_OPTIONS, secondDraft, signedBy, type DraftScene } from '../support/draft-scene.ts';

const textOf = (draft: Draft): string => Buffer.from(encodeDraft(draft, SCENE_METAL)).toString('utf8');

/** What holders send back: any of the three targets keys, and perhaps the online key, each at a time of its own. */
async function copiesOf(scene: DraftScene, draft: Draft): Promise<readonly Draft[]> {
  const [a, b, c] = scene.targets;
  assert.ok(a && b && c);
  const copies: Draft[] = [draft];
  const later = { ...SCENE_OPTIONS, now: new Date(SCENE_OPTIONS.now.getTime() + 3_600_000) };
  for (const by of [[a], [b], [c], [a, b], [b, c], [a, b, c]]) copies.push(await signedBy(scene, draft, by));
  // The same child completed at another time has a parent with another date.
  const complete = await signedBy(scene, draft, [a, b]);
  const { targets } = complete.roles;
  assert.ok(targets !== undefined);
  copies.push(advanceDraft({ ...complete, roles: { targets } }, scene.published, later));
  copies.push(await signedBy(scene, complete, [scene.online]));
  copies.push(await signedBy(scene, await signedBy(scene, complete, [scene.online]), [scene.online]));
  return copies;
}

for (const type of ['ed25519', 'ecdsa'] as const) {
  test(`mergeDrafts() is a union: commutative, associative, idempotent (${type})`, async () => {
    const scene = await draftScene(type);
    const copies = await copiesOf(scene, secondDraft(scene));
    const some = fc.array(fc.constantFrom(...copies), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(some, fc.infiniteStream(fc.nat()), (chosen, random) => {
        const [first, ...rest] = chosen;
        assert.ok(first !== undefined);
        const merged = rest.reduce(mergeDrafts, mergeDrafts(first, first));
        const [head, ...tail] = chosen.map((draft) => ({ draft, at: random.next().value })).toSorted((x, y) => x.at - y.at);
        assert.ok(head !== undefined);
        const shuffled = tail.reduceRight((sum, { draft }) => mergeDrafts(draft, sum), mergeDrafts(head.draft, head.draft));
        assert.equal(textOf(shuffled), textOf(merged));
        assert.equal(textOf(mergeDrafts(merged, first)), textOf(merged));
        assert.equal(textOf(mergeDrafts(merged, merged)), textOf(merged));
      }),
      { numRuns: 300 },
    );
  });
}

test('mergeDrafts() leaves out a snapshot that names targets with fewer signatures, and the rest can be finished', async () => {
  const scene = await draftScene();
  const [a, b, c] = scene.targets;
  assert.ok(a && b && c);
  const draft = secondDraft(scene);
  const complete = await signedBy(scene, await signedBy(scene, draft, [a, b]), [scene.online]);
  assert.ok(complete.roles.timestamp !== undefined);
  const merged = mergeDrafts(complete, await signedBy(scene, draft, [c]));
  assert.deepEqual(Object.keys(merged.roles), ['targets']);
  let whole = advanceDraft(merged, scene.published, SCENE_OPTIONS);
  for (const by of [[scene.online], [scene.online]]) whole = await signedBy(scene, whole, by);
  assert.equal(finishDraft(whole, scene.published).roles.targets.signatures.length, 3);
});

test('mergeDrafts() refuses what is not the same draft', async () => {
  const scene = await draftScene();
  const draft = secondDraft(scene);
  const others: readonly Draft[] = [
    { ...draft, changes: draft.changes.slice(1) },
    { ...draft, versions: { ...draft.versions, snapshot: 9 } },
    { ...draft, base: { ...draft.base, rootVersion: 2 } },
    { ...draft, manifest: Buffer.from('{}') },
    { ...draft, roles: {} },
  ];
  for (const other of others) {
    assert.throws(() => mergeDrafts(draft, other), { code: 'repository/other-draft' });
    assert.throws(() => mergeDrafts(other, draft), { code: 'repository/other-draft' });
  }
});

test('5 holders, threshold 3: every order of arrival gives the same root', async () => {
  const scene = await draftScene();
  const holders: readonly Signer[] = [scene.root, scene.stranger, ...scene.targets];
  const one = { keys: [scene.online.key], threshold: 1 };
  const spec = { root: { keys: holders.map(({ key }) => key), threshold: 3 }, targets: one, snapshot: one, timestamp: one };
  const draft = draftRoot(spec, SCENE_OPTIONS.now, SCENE_OPTIONS.policy);
  const copies: Envelope<Root>[] = [];
  for (const holder of holders) copies.push({ ...draft, signatures: [await holder.sign(signingPayload(draft.signed))] });
  const orders = new Set<string>();
  for (const order of permutations(copies)) orders.add(sealEnvelope(order.reduce(mergeEnvelopes<Root>)).sha256);
  assert.equal(orders.size, 1);
});

function permutations<T>(items: readonly T[]): readonly (readonly T[])[] {
  if (items.length < 2) return [items];
  return items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map((rest) => [item, ...rest]));
}
