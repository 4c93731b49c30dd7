import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generatePrivateKey } from '../../lib/keys/generate.ts';
import { signerFromKeyObject } from '../../lib/keys/key-signer.ts';
import type { Signer } from '../../lib/keys/signer.ts';
import { parseExpiryPolicy } from '../../lib/repository/expiry.ts';
import { extendRootChain, openRootChain, type RootChain } from '../../lib/repository/root-chain.ts';
import { draftRoot, finishRoot, rootAuthorities, rootRequest, specOf, type RootSpec } from '../../lib/repository/root-draft.ts';
import { withSignature } from '../../lib/repository/signing.ts';
import { readSignedRole, sealEnvelope } from '../../lib/tuf/role.ts';
import { signingPayload } from '../../lib/tuf/payload.ts';
import type { Envelope, Root } from '../../lib/tuf/types.ts';

const NOW = new Date('2026-01-01T00:00:00Z');
const POLICY = parseExpiryPolicy({});

async function signers(count: number): Promise<readonly Signer[]> {
  return Promise.all(Array.from({ length: count }, async () => signerFromKeyObject(await generatePrivateKey('ed25519'))));
}

function specFor(rootSigners: readonly Signer[], threshold: number, online: Signer): RootSpec {
  const one = { keys: [online.key], threshold: 1 };
  return { root: { keys: rootSigners.map(({ key }) => key), threshold }, targets: one, snapshot: one, timestamp: one };
}

async function signed(draft: Envelope<Root>, by: readonly Signer[]): Promise<Envelope<Root>> {
  const signatures = await Promise.all(by.map(async (signer) => signer.sign(signingPayload(draft.signed))));
  return { ...draft, signatures };
}

async function chainOfOne(rootSigners: readonly Signer[], online: Signer): Promise<RootChain> {
  return finishRoot(await signed(draftRoot(specFor(rootSigners, 2, online), NOW, POLICY), rootSigners.slice(0, 2)));
}

test('draftRoot() counts versions up by one and dates them by policy', async () => {
  const [a, b, online] = await signers(3);
  assert.ok(a && b && online);
  const first = draftRoot(specFor([a, b], 2, online), NOW, POLICY);
  assert.equal(first.signed.version, 1);
  assert.equal(first.signed.expires, '2026-12-31T00:00:00Z');
  assert.equal(draftRoot(specOf(first.signed), NOW, POLICY, first.signed).signed.version, 2);
  assert.deepEqual(specOf(first.signed).root, { keys: [a.key, b.key], threshold: 2 });
});

test('draftRoot() refuses thresholds that would strand everybody', async () => {
  const [a, b, online] = await signers(3);
  assert.ok(a && b && online);
  for (const threshold of [0, 3, 1.5, Number.NaN]) {
    assert.throws(() => draftRoot(specFor([a, b], threshold, online), NOW, POLICY), {
      code: 'repository/bad-threshold',
      details: { role: 'root', threshold, keys: 2 },
    });
  }
  assert.throws(() => draftRoot(specFor([a, a], 2, online), NOW, POLICY), { code: 'repository/bad-threshold' });
});

test('finishRoot() refuses a root while signatures are missing, and says whose', async () => {
  const [a, b, online] = await signers(3);
  assert.ok(a && b && online);
  const draft = await signed(draftRoot(specFor([a, b], 2, online), NOW, POLICY), [a]);
  assert.throws(() => finishRoot(draft), {
    code: 'repository/incomplete',
    details: { missing: [{ role: 'root', version: 1, have: 1, need: 2, candidates: [b.keyId] }] },
  });
});

test('rootRequest() of a successor asks for the old keys and for the new ones', async () => {
  const [a, b, c, online] = await signers(4);
  assert.ok(a && b && c && online);
  const chain = await chainOfOne([a, b], online);
  const next = draftRoot(specFor([b, c], 2, online), NOW, POLICY, chain.latest.role);
  const { missing, candidates } = rootRequest(next, chain.latest.role);
  assert.deepEqual(
    missing.map(({ have, need }) => [have, need]),
    [
      [0, 2],
      [0, 2],
    ],
  );
  assert.deepEqual(new Set(candidates), new Set([a.keyId, b.keyId, c.keyId]));
  assert.throws(() => finishRoot({ ...next }, chain), { code: 'repository/incomplete' });
  assert.equal(finishRoot(await signed(next, [a, b, c]), chain).latest.role.version, 2);
});

test('extendRootChain() refuses gaps, repetitions and roots that the old keys did not sign', async () => {
  const [a, b, c, online] = await signers(4);
  assert.ok(a && b && c && online);
  const chain = await chainOfOne([a, b], online);
  assert.throws(() => extendRootChain(chain, chain.latest), { code: 'repository/root-chain' });
  const usurper = draftRoot(specFor([c, online], 2, online), NOW, POLICY, chain.latest.role);
  assert.throws(() => extendRootChain(chain, sealEnvelope({ ...usurper, signatures: [] })), { code: 'tuf/threshold' });
  const own = await signed(usurper, [c, online]);
  assert.throws(() => extendRootChain(chain, sealEnvelope(own)), { code: 'tuf/threshold' });
  const skipping = { ...own, signed: { ...own.signed, version: 3 } };
  assert.throws(() => extendRootChain(chain, sealEnvelope(skipping)), { code: 'repository/root-chain', details: { version: 3 } });
  assert.throws(() => openRootChain([]), { code: 'repository/root-chain' });
});

test('a chain that was written and read again is the same chain', async () => {
  const [a, b, online] = await signers(3);
  assert.ok(a && b && online);
  const chain = await chainOfOne([a, b], online);
  const read = openRootChain(chain.roots.map(({ bytes }) => readSignedRole(bytes, 'root')));
  assert.equal(read.latest.sha256, chain.latest.sha256);
});

test('withSignature() keeps only signatures that count', async () => {
  const [a, b, stranger, online] = await signers(4);
  assert.ok(a && b && stranger && online);
  const draft = draftRoot(specFor([a, b], 2, online), NOW, POLICY);
  const authorities = rootAuthorities(draft.signed);
  const payload = signingPayload(draft.signed);
  const good = await a.sign(payload);
  const once = withSignature(draft, good, authorities);
  assert.equal(withSignature(once, good, authorities).signatures.length, 1);
  await assert.rejects(async () => withSignature(draft, await stranger.sign(payload), authorities), { code: 'keys/bad-signature' });
  assert.throws(() => withSignature(draft, { ...good, keyid: b.keyId }, authorities), { code: 'keys/bad-signature' });
  assert.throws(() => withSignature(draft, { ...good, sig: 'zz' }, authorities), { code: 'keys/bad-signature' });
});
