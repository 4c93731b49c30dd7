/** What SoftHSM does not do: tokens that lock, that want a PIN with each signature, that are pulled out or lie. */
import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { generatePrivateKey, KEY_TYPES } from '../../lib/keys/generate.ts';
import { CKM, CKU } from '../../lib/keys/pkcs11/constants.ts';
import { signerOf } from '../../lib/keys/pkcs11/signer.ts';
import { parsePkcs11Url } from '../../lib/keys/pkcs11/uri.ts';
import { passphraseFrom, PIN, type PassphraseSource } from '../../lib/keys/passphrase.ts';
import type { Signer } from '../../lib/keys/signer.ts';
import { publicKeyFromKeyObject } from '../../lib/tuf/key.ts';
import { verifySignature } from '../../lib/tuf/signature.ts';
import type { PublicKey } from '../../lib/tuf/types.ts';
import { makeCertificate } from '../support/certificates.ts';
import { makeFakeToken, type FakeKey, type FakeOptions, type FakeToken } from '../support/fake-token.ts';
import { personWith } from '../support/softhsm.ts';

const RIGHT = '271828';
const WRONG = '161803';
const PAYLOAD = Buffer.from('what is signed');
const PLACE = { label: 'root-a', id: '01' };
const ed25519: FakeKey = { ...PLACE, key: await generatePrivateKey('ed25519') };

// What was wrong is remembered by token for as long as the process lives: each test has a token of its own.
let made = 0;
function token(options: Partial<FakeOptions> = {}): FakeToken {
  made += 1;
  return makeFakeToken({ label: `t${made}`, pin: RIGHT, keys: [ed25519], ...options });
}

function fileWith(pin: string): PassphraseSource {
  return passphraseFrom({ env: { GANTRY_PIN: pin } }, PIN);
}

async function open(of: FakeToken, pin: PassphraseSource, options: { url?: string; expected?: PublicKey } = {}): Promise<Signer> {
  const { url = 'pkcs11:object=root-a', expected } = options;
  return signerOf(of, { url, reference: parsePkcs11Url(url), access: { pin, ...(expected === undefined ? {} : { expected }) } });
}

async function assertSigns(signer: Signer): Promise<void> {
  assert.ok(verifySignature(signer.key, await signer.sign(PAYLOAD), PAYLOAD));
}

test('signerOf() sends a wrong PIN of a file once, for whichever key of the token, and gives everything back', async () => {
  const of = token({ keys: [ed25519, { ...ed25519, label: 'root-b', id: '02' }] });
  for (const url of ['pkcs11:object=root-a', 'pkcs11:object=root-b', 'pkcs11:object=root-a']) {
    of.isReleased = false;
    await assert.rejects(open(of, fileWith(WRONG), { url }), { code: 'keys/token-pin-wrong', details: { token: of.label } });
    assert.ok(of.isReleased);
  }
  assert.equal(of.logins.length, 1);
  assert.equal(of.triesLeft, 2);
  await assertSigns(await open(of, fileWith(RIGHT)));
});

test('signerOf() does not send what a person typed wrong before', async () => {
  const of = token();
  const person = personWith(WRONG, WRONG, RIGHT);
  await assertSigns(await open(of, person));
  assert.deepEqual(
    of.logins.map(({ pin }) => pin),
    [WRONG, RIGHT],
  );
});

test('signerOf() tells a person that it is the last try before the token locks, and that it is locked', async () => {
  const of = token();
  const person = personWith('1111', '2222', '3333');
  await assert.rejects(open(of, person), {
    code: 'keys/token-locked',
    message: `Cannot log in to token ${of.label}: it is locked after too many wrong PINs; expected one that is not`,
  });
  assert.equal(person.asked[0], `token ${of.label}`);
  assert.match(person.asked[1] ?? '', /that PIN was wrong; .*few tries are left/u);
  assert.match(person.asked[2] ?? '', /the last try before it locks\)$/u);
  // And nobody is asked when it is known to be locked.
  const another = personWith(RIGHT);
  await assert.rejects(open(of, another), { code: 'keys/token-locked' });
  assert.deepEqual(another.asked, []);
});

test('signerOf() leaves the last try to a person', async () => {
  const of = token();
  of.triesLeft = 1;
  await assert.rejects(open(of, fileWith(RIGHT)), { code: 'keys/token-last-try' });
  assert.deepEqual(of.logins, []);
  await assertSigns(await open(of, personWith(RIGHT)));
  await assertSigns(await open(of, fileWith(RIGHT)));
});

test('signerOf() gives the PIN with each signature when the key wants that, and asks once', async () => {
  const of = token({ keys: [{ ...ed25519, alwaysAuthenticate: true }] });
  const person = personWith(RIGHT);
  const signer = await open(of, person);
  await assertSigns(signer);
  await assertSigns(signer);
  assert.deepEqual(
    of.logins.map(({ user }) => user),
    [CKU.user, CKU.contextSpecific, CKU.contextSpecific],
  );
  assert.equal(person.asked.length, 1);
});

test('signerOf() lets a token with a keypad ask for its PIN', async () => {
  const of = token({ hasKeypad: true });
  const person = personWith();
  await assertSigns(await open(of, person));
  assert.deepEqual(of.logins, [{ user: CKU.user, pin: undefined }]);
  assert.deepEqual(person.asked, []);
});

test('signerOf() refuses a key that may not sign', async () => {
  await assert.rejects(open(token({ keys: [{ ...ed25519, maySign: false }] }), fileWith(RIGHT)), {
    code: 'keys/token-not-permitted',
    message: /CKA_SIGN is false/u,
  });
});

test('sign() says that the token was pulled out, and closing it then is no error', async () => {
  const of = token();
  const signer = await open(of, fileWith(RIGHT));
  of.isPulledOut = true;
  await assert.rejects(signer.sign(PAYLOAD), {
    code: 'keys/token-removed',
    message: `Cannot sign with "pkcs11:object=root-a": token ${of.label} is not there any more (CKR_DEVICE_REMOVED); expected it to stay plugged in`,
  });
  await signer.close?.();
  assert.ok(of.isReleased);
  of.isReleased = false;
  await assert.rejects(open(of, fileWith(RIGHT)), { code: 'keys/token-removed' });
  assert.ok(of.isReleased);
});

for (const type of KEY_TYPES) {
  for (const half of ['bare', 'wrapped'] as const) {
    test(`signerOf() reads the public half of an ${type} key when its point is ${half}`, async () => {
      const key = await generatePrivateKey(type);
      const mechanisms = [CKM.eddsa, CKM.ecdsaSha256, CKM.sha256RsaPss];
      const signer = await open(token({ mechanisms, keys: [{ ...PLACE, key, half }] }), fileWith(RIGHT));
      assert.deepEqual(signer.key, publicKeyFromKeyObject(key));
      await assertSigns(signer);
    });
  }

  test(`sign() hands out nothing when the token returns something else than a signature of ${type}`, async () => {
    const key = await generatePrivateKey(type);
    const mechanisms = [CKM.eddsa, CKM.ecdsaSha256, CKM.sha256RsaPss];
    for (const lie of [() => Buffer.alloc(0), () => Buffer.alloc(64), () => Buffer.alloc(64, 255), (real: Buffer) => real.subarray(1)]) {
      const signer = await open(token({ mechanisms, lie, keys: [{ ...PLACE, key }] }), fileWith(RIGHT));
      await assert.rejects(signer.sign(PAYLOAD), { code: 'keys/bad-signature' });
    }
  });
}

test('signerOf() finds a key by the label of its public half, as tools list it', async () => {
  const of = token({ keys: [{ ...ed25519, label: 'Private key for Digital Signature', halfLabel: 'Public key for Digital Signature' }] });
  await assertSigns(await open(of, fileWith(RIGHT), { url: 'pkcs11:object=Public%20key%20for%20Digital%20Signature' }));
});

test('signerOf() takes the public half from a certificate when the token holds one in its place', async (t) => {
  const { key, cert } = await makeCertificate(t, 'IP:127.0.0.1', 1);
  const held: FakeKey = { ...PLACE, key: createPrivateKey(key), half: 'certificate', certificate: new X509Certificate(cert).raw };
  const signer = await open(token({ mechanisms: [CKM.ecdsaSha256], keys: [held] }), fileWith(RIGHT));
  assert.deepEqual(signer.key, publicKeyFromKeyObject(createPrivateKey(key)));
  await assertSigns(signer);
});

test('signerOf() goes by the key that is expected when the token does not tell its public half', async () => {
  const of = token({ keys: [{ ...ed25519, half: 'none' }] });
  await assert.rejects(open(of, fileWith(RIGHT)), { code: 'keys/token-unsupported', message: /does not tell its public half/u });
  await assertSigns(await open(of, fileWith(RIGHT), { expected: publicKeyFromKeyObject(ed25519.key) }));
  const other = publicKeyFromKeyObject(await generatePrivateKey('ed25519'));
  const signer = await open(of, fileWith(RIGHT), { expected: other });
  await assert.rejects(signer.sign(PAYLOAD), { code: 'keys/bad-signature' });
});
