/** Changes of who may sign what: what is accepted leads every client on, what is not is refused before it is drafted. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isGantryError } from '../../lib/errors.ts';
import { generatePrivateKey } from '../../lib/keys/generate.ts';
import { signerFromKeyObject } from '../../lib/keys/key-signer.ts';
import type { Signer } from '../../lib/keys/signer.ts';
import { parseExpiryPolicy } from '../../lib/repository/expiry.ts';
import { openRootChain, type RootChain } from '../../lib/repository/root-chain.ts';
import { draftRoot, finishRoot, rootRequest, specOf, type RootSpec } from '../../lib/repository/root-draft.ts';
import { applyRootEdit, rebaseRootSpec, ROOT_ROLES, type RootEdit } from '../../lib/repository/root-edit.ts';
import { lintRole } from '../../lib/tuf/lint.ts';
import { readSignedRole, sealEnvelope } from '../../lib/tuf/role.ts';
import { signingPayload } from '../../lib/tuf/payload.ts';
import type { Envelope, PublicKey, Root } from '../../lib/tuf/types.ts';

const NOW = new Date('2026-01-01T00:00:00Z');
const POLICY = parseExpiryPolicy({});
const POOL: readonly Signer[] = await Promise.all(
  Array.from({ length: 6 }, async () => signerFromKeyObject(await generatePrivateKey('ed25519'))),
);

function signer(index: number): Signer {
  return POOL[index % POOL.length] ?? assert.fail();
}

const FIRST: RootSpec = {
  root: { keys: [signer(0).key, signer(1).key], threshold: 2 },
  targets: { keys: [signer(2).key], threshold: 1 },
  snapshot: { keys: [signer(3).key], threshold: 1 },
  timestamp: { keys: [signer(3).key], threshold: 1 },
};

/** Signed by everybody who may, as the threshold of old and new asks. */
async function complete(draft: Envelope<Root>, previous?: Root): Promise<Envelope<Root>> {
  const { candidates, payload } = rootRequest(draft, previous);
  const signers = POOL.filter(({ keyId }) => candidates.includes(keyId));
  return { ...draft, signatures: await Promise.all(signers.map(async (one) => one.sign(payload))) };
}

const role = fc.constantFrom(...ROOT_ROLES);
const index = fc.nat(POOL.length - 1);
const edit: fc.Arbitrary<RootEdit> = fc.oneof(
  fc.record({
    kind: fc.constant('add-key' as const),
    key: index.map((at) => signer(at).key),
    roles: fc.uniqueArray(role, { minLength: 1 }),
  }),
  fc.record({ kind: fc.constant('remove-key' as const), keyId: index.map((at) => signer(at).keyId) }),
  fc.record({
    kind: fc.constant('replace-key' as const),
    keyId: index.map((at) => signer(at).keyId),
    by: index.map((at) => signer(at).key),
  }),
  fc.record({ kind: fc.constant('set-threshold' as const), role, threshold: fc.integer({ min: 0, max: 4 }) }),
);

test('whatever sequence of edits is accepted, a client reaches the newest root from every earlier one', async () => {
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 12 }), async (edits) => {
      let chain: RootChain = finishRoot(await complete(draftRoot(FIRST, NOW, POLICY)));
      for (const one of edits) {
        const { role: latest } = chain.latest;
        let draft: Envelope<Root>;
        try {
          draft = draftRoot(applyRootEdit(specOf(latest), one), NOW, POLICY, latest);
        } catch (error) {
          assert.ok(isGantryError(error, 'repository/bad-root-edit') || isGantryError(error, 'repository/bad-threshold'), String(error));
          continue;
        }
        accepted += 1;
        assert.deepEqual(lintRole(draft.signed), []);
        chain = finishRoot(await complete(draft, latest), chain);
      }
      for (let from = 0; from < chain.roots.length; from += 1) {
        const served = chain.roots.slice(from).map(({ bytes }) => readSignedRole(bytes, 'root'));
        assert.equal(openRootChain(served).latest.role.version, chain.roots.length);
      }
      for (const name of ROOT_ROLES) {
        const { keyids, threshold } = chain.latest.role.roles[name];
        assert.ok(threshold >= 1 && threshold <= new Set(keyids).size, `${name} could not be signed any more`);
      }
    }),
    { numRuns: 60 },
  );
  assert.ok(accepted > 50, `only ${accepted} edits were accepted`);
});

test('applyRootEdit() refuses what changes nothing, and draftRoot() what strands a role', () => {
  const apply = (one: RootEdit): RootSpec => applyRootEdit(FIRST, one);
  const [a, c] = [signer(0), signer(4)];
  for (const one of [
    { kind: 'add-key', key: a.key, roles: ['root'] },
    { kind: 'remove-key', keyId: c.keyId },
    { kind: 'remove-key', keyId: a.keyId, roles: ['targets'] },
    { kind: 'replace-key', keyId: c.keyId, by: a.key },
    { kind: 'replace-key', keyId: a.keyId, by: signer(1).key },
    { kind: 'set-threshold', role: 'root', threshold: 2 },
  ] as const) {
    assert.throws(() => apply(one), { code: 'repository/bad-root-edit' }, JSON.stringify(one));
  }
  assert.throws(() => draftRoot(apply({ kind: 'remove-key', keyId: a.keyId }), NOW, POLICY), {
    code: 'repository/bad-threshold',
    details: { role: 'root', threshold: 2, keys: 1 },
  });
  assert.throws(() => draftRoot(apply({ kind: 'remove-key', keyId: signer(2).keyId }), NOW, POLICY), { code: 'repository/bad-threshold' });
});

test('a key under two key ids counts once: it is refused, and its signatures give one of two', async () => {
  const key = signer(0).key;
  // Another PEM or an unknown member gives the same key another id.
  const twin = { ...key, note: 'the same key' } as PublicKey;
  assert.throws(() => applyRootEdit(FIRST, { kind: 'add-key', key: twin, roles: ['root'] }), { code: 'repository/bad-root-edit' });
  const spec: RootSpec = { ...FIRST, root: { keys: [key, twin], threshold: 2 } };
  assert.throws(() => draftRoot(spec, NOW, POLICY), { code: 'repository/bad-threshold', details: { role: 'root', threshold: 2, keys: 1 } });
  // Somebody else's root that has it all the same: two signatures of one person.
  const { signed } = draftRoot(FIRST, NOW, POLICY);
  const [first, second] = signed.roles.root.keyids;
  assert.ok(first !== undefined && second !== undefined);
  const forged: Root = { ...signed, keys: { ...signed.keys, [second]: twin } };
  const { sig } = await signer(0).sign(signingPayload(forged));
  const envelope = sealEnvelope({
    signed: forged,
    signatures: [
      { keyid: first, sig },
      { keyid: second, sig },
    ],
  });
  assert.throws(() => openRootChain([envelope]), { code: 'tuf/threshold' });
});

test('rebaseRootSpec() keeps the changes of both, and refuses two thresholds', () => {
  const [c, d] = [signer(4), signer(5)];
  const ours = applyRootEdit(applyRootEdit(FIRST, { kind: 'add-key', key: c.key, roles: ['root'] }), {
    kind: 'set-threshold',
    role: 'root',
    threshold: 3,
  });
  const theirs = applyRootEdit(applyRootEdit(FIRST, { kind: 'add-key', key: d.key, roles: ['root'] }), {
    kind: 'remove-key',
    keyId: signer(1).keyId,
  });
  assert.deepEqual(rebaseRootSpec(FIRST, ours, theirs).root, { keys: [signer(0).key, d.key, c.key], threshold: 3 });
  assert.deepEqual(rebaseRootSpec(FIRST, ours, FIRST), ours);
  assert.deepEqual(rebaseRootSpec(FIRST, FIRST, theirs), theirs);
  const lowered = applyRootEdit(FIRST, { kind: 'set-threshold', role: 'root', threshold: 1 });
  assert.throws(() => rebaseRootSpec(FIRST, ours, lowered), { code: 'repository/moved-on' });
});
