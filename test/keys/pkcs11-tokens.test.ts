/** What is in tokens, and what is made there, with SoftHSM. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import type { PKCS11 } from 'pkcs11js';
import { generatePrivateKey, KEY_TYPES } from '../../lib/keys/generate.ts';
import { CKA, CKF, CKM, CKU, CURVES } from '../../lib/keys/pkcs11/constants.ts';
import { generatePkcs11Key } from '../../lib/keys/pkcs11/generate.ts';
import { listPkcs11Keys } from '../../lib/keys/pkcs11/list.ts';
import { openReference } from '../../lib/keys/reference.ts';
import { keyIdOf, publicKeyFromKeyObject } from '../../lib/tuf/key.ts';
import { verifySignature } from '../../lib/tuf/signature.ts';
import { accessOf } from '../support/signer-access.ts';
import { personWith, rightPin, startSoftHsm, TOKEN_PIN } from '../support/softhsm.ts';

const PAYLOAD = Buffer.from('what is signed');

for (const type of KEY_TYPES) {
  test(`generatePkcs11Key() makes an ${type} key that signs, and that its URL, the list and the token tell alike`, async (t) => {
    const hsm = await startSoftHsm(t);
    if (hsm === undefined) return;
    const access = accessOf({ pin: rightPin, env: { GANTRY_PKCS11_MODULE: hsm.library } });
    const made = await generatePkcs11Key('pkcs11:token=release;object=root%20a', type, access);
    assert.match(made.url, /^pkcs11:token=release;id=(?:%[0-9a-f]{2}){8};object=root%20a$/u);
    assert.equal(made.key.keytype, type);
    await made.close();
    const signer = await openReference(made.url, { ...access, expected: made.key });
    t.after(async () => signer.close?.());
    assert.ok(verifySignature(made.key, await signer.sign(PAYLOAD), PAYLOAD));
    // While somebody is logged in, the private half is visible.
    const [token] = await listPkcs11Keys({ env: access.env });
    assert.equal(token?.label, 'release');
    assert.deepEqual(
      token?.keys.map(({ label, key, keyId, maySign, url }) => ({ label, key, keyId, maySign, url })),
      [{ label: 'root a', key: made.key, keyId: keyIdOf(made.key), maySign: true, url: made.url }],
    );
  });
}

test('generatePkcs11Key() makes a private half that never leaves the token', async (t) => {
  const hsm = await startSoftHsm(t);
  if (hsm === undefined) return;
  const access = accessOf({ pin: rightPin, env: { GANTRY_PKCS11_MODULE: hsm.library } });
  await (await generatePkcs11Key('pkcs11:object=k', 'ecdsa', access)).close();
  const { cryptoki, session, done } = loggedIn(hsm.library);
  try {
    cryptoki.C_FindObjectsInit(session, [{ type: CKA.class, value: 3 }]);
    const [handle] = cryptoki.C_FindObjects(session, 2);
    cryptoki.C_FindObjectsFinal(session);
    const flagOf = (type: number): number | undefined =>
      cryptoki.C_GetAttributeValue(session, handle ?? assert.fail(), [{ type }])[0]?.value[0];
    assert.deepEqual([CKA.sensitive, CKA.extractable, CKA.private, CKA.sign].map(flagOf), [1, 0, 1, 1]);
    assert.throws(() => flagOf(CKA.value), /CKR_ATTRIBUTE_SENSITIVE/u);
  } finally {
    done();
  }
});

/** The library without anything of ours. */
function loggedIn(library: string): { readonly cryptoki: PKCS11; readonly session: Buffer; readonly done: () => void } {
  const { PKCS11: Module } = createRequire(import.meta.url)('pkcs11js') as { readonly PKCS11: new (library: string) => PKCS11 };
  const cryptoki = new Module(library);
  cryptoki.C_Initialize();
  const [slot] = cryptoki.C_GetSlotList(true);
  const session = cryptoki.C_OpenSession(slot ?? assert.fail(), CKF.serialSession | CKF.rwSession);
  cryptoki.C_Login(session, CKU.user, TOKEN_PIN);
  return { cryptoki, session, done: () => cryptoki.C_Finalize() };
}

test('generatePkcs11Key() refuses a label or an id that a key of the token has, and a URL without a label', async (t) => {
  const hsm = await startSoftHsm(t);
  if (hsm === undefined) return;
  await hsm.bring(await generatePrivateKey('ed25519'), { token: 'release', label: 'root-a', id: '0a' });
  const access = accessOf({ pin: rightPin, env: { GANTRY_PKCS11_MODULE: hsm.library } });
  for (const url of ['pkcs11:object=root-a', 'pkcs11:object=root-b;id=%0a']) {
    await assert.rejects(generatePkcs11Key(url, 'ed25519', access), { code: 'keys/token-exists' }, url);
  }
  await assert.rejects(generatePkcs11Key('pkcs11:token=release', 'ed25519', access), { code: 'keys/bad-reference', message: /no label/u });
  await assert.rejects(generatePkcs11Key('pkcs11:token=other;object=k', 'ed25519', access), { code: 'keys/token-missing' });
});

test('generatePkcs11Key() says that another type may do when the token cannot make one', async (t) => {
  const hsm = await startSoftHsm(t, { mechanisms: 'CKM_EC_KEY_PAIR_GEN,CKM_ECDSA' });
  if (hsm === undefined) return;
  const access = accessOf({ pin: rightPin, env: { GANTRY_PKCS11_MODULE: hsm.library } });
  await assert.rejects(generatePkcs11Key('pkcs11:object=k', 'ed25519', access), {
    code: 'keys/token-unsupported',
    message: /makes no ed25519 keys .* another --type may do/u,
  });
  await (await generatePkcs11Key('pkcs11:object=k', 'ecdsa', access)).close();
});

test('openReference() refuses a key that was made without the permission to sign', async (t) => {
  const hsm = await startSoftHsm(t);
  if (hsm === undefined) return;
  const { cryptoki, session, done } = loggedIn(hsm.library);
  const both = [
    { type: CKA.token, value: true },
    { type: CKA.label, value: 'k' },
  ];
  cryptoki.C_GenerateKeyPair(
    session,
    { mechanism: CKM.ecKeyPairGen },
    [...both, { type: CKA.ecParams, value: CURVES.p256 }],
    [...both, { type: CKA.sign, value: false }],
  );
  done();
  await assert.rejects(openReference('pkcs11:object=k', accessOf({ pin: rightPin, env: { GANTRY_PKCS11_MODULE: hsm.library } })), {
    code: 'keys/token-not-permitted',
  });
});

test('listPkcs11Keys() lists what is visible without a PIN, and asks nobody for one', async (t) => {
  const hsm = await startSoftHsm(t);
  if (hsm === undefined) return;
  const key = await generatePrivateKey('rsa');
  await hsm.bring(key, { token: 'release', label: 'root-b', id: '0b' });
  await hsm.bring(await generatePrivateKey('ed25519'), { token: 'release', label: 'root-a', id: '0a' });
  const [token, ...others] = await listPkcs11Keys({ modulePath: hsm.library, env: {} });
  assert.deepEqual(others, []);
  assert.deepEqual(
    token?.keys.map(({ label }) => label),
    ['root-a', 'root-b'],
  );
  const { url = '', maySign, keyId } = token?.keys[1] ?? {};
  assert.equal(maySign, undefined);
  assert.equal(keyId, keyIdOf(publicKeyFromKeyObject(key)));
  assert.equal(url, `pkcs11:token=release;id=%0b;object=root-b?module-path=${hsm.library}`);
  const signer = await openReference(url, accessOf({ pin: rightPin }));
  await signer.close?.();
});

test('listPkcs11Keys() tells two tokens by one label apart, with URLs that openReference() understands', async (t) => {
  const hsm = await startSoftHsm(t);
  if (hsm === undefined) return;
  await hsm.bring(await generatePrivateKey('ed25519'), { token: 'release', label: 'root-a', id: '0a' });
  await hsm.makeToken('release');
  const env = { GANTRY_PKCS11_MODULE: hsm.library };
  const tokens = await listPkcs11Keys({ env });
  assert.equal(new Set(tokens.map(({ url }) => url)).size, 2);
  const url = tokens.flatMap(({ keys }) => keys)[0]?.url ?? '';
  assert.match(url, /^pkcs11:token=release;serial=[0-9a-f]+;id=%0a;object=root-a$/u);
  const signer = await openReference(url, accessOf({ pin: personWith(TOKEN_PIN), env }));
  await signer.close?.();
});
