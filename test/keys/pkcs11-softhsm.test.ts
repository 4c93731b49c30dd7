/** The signer on a real PKCS#11 library. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes, verify, type KeyObject } from 'node:crypto';
import { chmod, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { generatePrivateKey, KEY_TYPES } from '../../lib/keys/generate.ts';
import type { SignerAccess } from '../../lib/keys/access.ts';
import { openReference } from '../../lib/keys/reference.ts';
import type { Signer } from '../../lib/keys/signer.ts';
import { keyObjectOf, publicKeyFromKeyObject } from '../../lib/tuf/key.ts';
import { verifySignature } from '../../lib/tuf/signature.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { accessOf } from '../support/signer-access.ts';
import { personWith, rightPin, startSoftHsm, TOKEN_PIN, type SoftHsm } from '../support/softhsm.ts';

const WRONG = '000000';

function envOf({ library }: SoftHsm): { readonly GANTRY_PKCS11_MODULE: string } {
  return { GANTRY_PKCS11_MODULE: library };
}

/** Open until the test ends. */
async function opened(t: TestContext, url: string, access: SignerAccess): Promise<Signer> {
  const signer = await openReference(url, access);
  t.after(async () => signer.close?.());
  return signer;
}

async function bring(hsm: SoftHsm, label: string, id: string, key?: KeyObject): Promise<KeyObject> {
  const made = key ?? (await generatePrivateKey('ed25519'));
  await hsm.bring(made, { token: 'release', label, id });
  return made;
}

for (const type of KEY_TYPES) {
  test(`openReference() signs with an ${type} key in a token, as clients and Node verify it`, async (t) => {
    const hsm = await startSoftHsm(t);
    if (hsm === undefined) return;
    const key = await bring(hsm, 'root a', '0a0b', await generatePrivateKey(type));
    for (const url of ['pkcs11:token=release;object=root%20a', 'pkcs11:id=%0a%0b;type=private', 'pkcs11:']) {
      const signer = await opened(t, url, accessOf({ pin: rightPin, env: envOf(hsm) }));
      assert.deepEqual(signer.key, publicKeyFromKeyObject(key));
      // Numbers of ECDSA have 31, 32 or 33 bytes in DER: each way of writing them comes up.
      for (let times = 0; times < 40; times += 1) {
        const payload = randomBytes(1 + times * 100);
        const signature = await signer.sign(payload);
        assert.ok(verifySignature(signer.key, signature, payload));
        assert.ok(!verifySignature(signer.key, signature, Buffer.from('something else')));
      }
    }
  });
}

test('openReference() signs a payload of megabytes, and makes ECDSA in the DER that openssl reads', async (t) => {
  const hsm = await startSoftHsm(t);
  if (hsm === undefined) return;
  const key = await bring(hsm, 'k', '01', await generatePrivateKey('ecdsa'));
  const signer = await opened(t, 'pkcs11:object=k', accessOf({ pin: rightPin, env: envOf(hsm) }));
  const payload = randomBytes(8 << 20);
  const { sig } = await signer.sign(payload);
  assert.ok(verify('sha256', payload, publicHalf(key), Buffer.from(sig, 'hex')));
});

function publicHalf(key: KeyObject): KeyObject {
  return keyObjectOf(publicKeyFromKeyObject(key));
}

test('openReference() lets the token hash when it cannot sign a digest of RSA-PSS', async (t) => {
  const hsm = await startSoftHsm(t, { mechanisms: 'CKM_SHA256_RSA_PKCS_PSS' });
  if (hsm === undefined) return;
  await bring(hsm, 'k', '01', await generatePrivateKey('rsa'));
  const signer = await opened(t, 'pkcs11:object=k', accessOf({ pin: rightPin, env: envOf(hsm) }));
  assert.ok(verifySignature(signer.key, await signer.sign(Buffer.from('root')), Buffer.from('root')));
});

for (const type of KEY_TYPES) {
  test(`openReference() refuses an ${type} key when the token cannot sign with it`, async (t) => {
    const hsm = await startSoftHsm(t, { mechanisms: 'CKM_SHA256,CKM_RSA_PKCS' });
    if (hsm === undefined) return;
    await bring(hsm, 'k', '01', await generatePrivateKey(type));
    await assert.rejects(openReference('pkcs11:object=k', accessOf({ pin: rightPin, env: envOf(hsm) })), {
      code: 'keys/token-unsupported',
      message: /the token cannot sign with/u,
    });
  });
}

for (const [what, key] of [
  ['another curve', generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey],
  ['too few bits', generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey],
] as const) {
  test(`openReference() refuses a key of ${what}`, async (t) => {
    const hsm = await startSoftHsm(t);
    if (hsm === undefined) return;
    await bring(hsm, 'k', '01', key);
    await assert.rejects(openReference('pkcs11:object=k', accessOf({ pin: rightPin, env: envOf(hsm) })), {
      code: 'keys/token-unsupported',
    });
  });
}

test('openReference() tells which tokens and which keys there are when the one that is wanted is not', async (t) => {
  const hsm = await startSoftHsm(t);
  if (hsm === undefined) return;
  await bring(hsm, 'root-a', '0a');
  const access = accessOf({ pin: rightPin, env: envOf(hsm) });
  await assert.rejects(openReference('pkcs11:token=backup', access), {
    code: 'keys/token-missing',
    message: /there is token release; expected it to be plugged in/u,
  });
  await assert.rejects(openReference('pkcs11:slot-id=77', access), { code: 'keys/token-missing' });
  for (const url of ['pkcs11:object=root-b', 'pkcs11:object=root-a;id=%0b', 'pkcs11:id=%0b']) {
    await assert.rejects(openReference(url, access), { code: 'keys/token-key-missing' }, url);
  }
  await assert.rejects(openReference('pkcs11:object=root-b', access), { message: /it holds "root-a \(id 0a\)"; expected/u });
});

test('openReference() refuses a URL that fits two keys, or two tokens', async (t) => {
  const hsm = await startSoftHsm(t);
  if (hsm === undefined) return;
  await bring(hsm, 'root-a', '0a');
  await bring(hsm, 'root-b', '0b');
  const access = accessOf({ pin: rightPin, env: envOf(hsm) });
  await assert.rejects(openReference('pkcs11:token=release', access), {
    code: 'keys/token-ambiguous',
    message: /which of 2 keys .*"root-a \(id 0a\)".*expected a URL that fits one/u,
  });
  await hsm.makeToken('backup');
  await assert.rejects(openReference('pkcs11:object=root-a', access), { code: 'keys/token-ambiguous', message: /which of 2 tokens/u });
  await opened(t, 'pkcs11:token=release;object=root-a', access);
});

test('openReference() says that it is another key when the token holds another one by that label', async (t) => {
  const hsm = await startSoftHsm(t);
  if (hsm === undefined) return;
  await bring(hsm, 'root-a', '0a');
  const expected = publicKeyFromKeyObject(await generatePrivateKey('ed25519'));
  await assert.rejects(openReference('pkcs11:object=root-a', accessOf({ pin: rightPin, env: envOf(hsm), expected })), {
    code: 'keys/mismatch',
  });
});

test('openReference() takes the PIN from the file that the URL names', async (t) => {
  const hsm = await startSoftHsm(t);
  if (hsm === undefined) return;
  await bring(hsm, 'k', '01');
  const file = join(await temporaryDirectory(t), 'pin');
  await writeFile(file, `${TOKEN_PIN}\n`, { mode: 0o600 });
  const signer = await opened(t, `pkcs11:object=k?module-path=${hsm.library}&pin-source=file:${file}`, accessOf());
  await signer.close?.();
  await chmod(file, 0o644);
  await assert.rejects(openReference(`pkcs11:object=k?pin-source=file:${file}`, accessOf({ env: envOf(hsm) })), {
    code: 'files/exposed',
  });
});

test('openReference() says that a PIN is needed when there is none and nobody to ask', async (t) => {
  const hsm = await startSoftHsm(t);
  if (hsm === undefined) return;
  await bring(hsm, 'k', '01');
  await assert.rejects(openReference('pkcs11:object=k', accessOf({ env: envOf(hsm) })), {
    code: 'keys/pin-needed',
    message: /PIN for "token release"/u,
  });
});

test('openReference() asks a person again after a wrong PIN, and says what a token does about it', async (t) => {
  const hsm = await startSoftHsm(t);
  if (hsm === undefined) return;
  await bring(hsm, 'k', '01');
  const person = personWith('111111', TOKEN_PIN);
  await opened(t, 'pkcs11:object=k', accessOf({ pin: person, env: envOf(hsm) }));
  assert.equal(person.asked.length, 2);
  assert.equal(person.asked[0], 'token release');
  assert.match(person.asked[1] ?? '', /^token release \(that PIN was wrong; .*few tries are left before it locks\)$/u);
});

test('openReference() asks once for two keys of one token', async (t) => {
  const hsm = await startSoftHsm(t);
  if (hsm === undefined) return;
  await bring(hsm, 'a', '0a');
  await bring(hsm, 'b', '0b');
  const person = personWith(TOKEN_PIN, TOKEN_PIN);
  const access = accessOf({ pin: person, env: envOf(hsm) });
  const signers = await Promise.all(['a', 'b'].map(async (label) => openReference(`pkcs11:object=${label}`, access)));
  assert.equal(person.asked.length, 1);
  const [first, second] = signers;
  await first?.close?.();
  // The one that is still open goes on.
  const payload = Buffer.from('root');
  const { key } = second ?? assert.fail();
  assert.ok(verifySignature(key, (await second?.sign(payload)) ?? assert.fail(), payload));
  await second?.close?.();
  const again = await openReference('pkcs11:object=a', access);
  assert.equal(person.asked.length, 2, 'the login ended with the last signer');
  await again.close?.();
});

test('openReference() tells a wrong PIN in one line, without the PIN', async (t) => {
  const hsm = await startSoftHsm(t);
  if (hsm === undefined) return;
  await bring(hsm, 'k', '01');
  await assert.rejects(
    openReference('pkcs11:object=k', accessOf({ pin: { tries: 1, ask: async () => WRONG }, env: envOf(hsm) })),
    (error) => {
      assert.ok(error instanceof Error);
      assert.equal(
        error.message,
        'Cannot use this PIN for token release: it is wrong, and is not tried again, because a token locks; expected its user PIN',
      );
      return true;
    },
  );
});

test('openReference() names the library that is missing, or is none', async (t) => {
  const directory = await temporaryDirectory(t);
  const text = join(directory, 'text.so');
  await writeFile(text, 'not a library');
  const missing = `Cannot load the PKCS#11 library "${directory}/none.so": there is no such file; expected the one that came with the token`;
  await assert.rejects(openReference(`pkcs11:?module-path=${directory}/none.so`, accessOf()), {
    code: 'keys/token-library',
    message: missing,
  });
  for (const path of [text, directory, process.execPath]) {
    await assert.rejects(openReference('pkcs11:', accessOf({ env: { GANTRY_PKCS11_MODULE: path } })), {
      code: 'keys/token-library',
      message: /it is no PKCS#11 library of this machine/u,
    });
  }
});

test('openReference() finds the library in its usual place', async (t) => {
  const hsm = await startSoftHsm(t);
  if (hsm === undefined) return;
  await bring(hsm, 'k', '01');
  await opened(t, 'pkcs11:token=release;object=k', accessOf({ pin: rightPin }));
});

test('sign() says that the token is gone when it is taken away in the middle, and a key of it works again later', async (t) => {
  const hsm = await startSoftHsm(t);
  if (hsm === undefined) return;
  await bring(hsm, 'k', '01');
  const access = accessOf({ pin: rightPin, env: envOf(hsm) });
  const signer = await opened(t, 'pkcs11:object=k', access);
  await signer.sign(Buffer.from('root'));
  await rename(hsm.tokens, `${hsm.tokens}.away`);
  await assert.rejects(signer.sign(Buffer.from('root')), { code: 'keys/token-removed', message: /is not there any more/u });
  await signer.close?.();
  await rename(`${hsm.tokens}.away`, hsm.tokens);
  const again = await openReference('pkcs11:object=k', access);
  await again.sign(Buffer.from('root'));
  await again.close?.();
});
