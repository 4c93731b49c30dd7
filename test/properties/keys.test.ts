import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { GantryError } from '../../lib/errors.ts';
import { checkKeyName } from '../../lib/keys/key-file.ts';
import { decryptPrivateKey, encryptPrivateKey, plainPrivateKey, readPrivateKey } from '../../lib/keys/pkcs8.ts';

const { privateKey } = generateKeyPairSync('ed25519');

/** Characters of every kind: control characters, NUL, lone surrogates, clusters; at most 1,024 bytes. */
const passphrase = fc
  .oneof(fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }), fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }))
  .filter((text) => Buffer.byteLength(text.normalize('NFC')) <= 1024);

test('encryptPrivateKey() and decryptPrivateKey() are inverse for any passphrase, in any normal form', async () => {
  await fc.assert(
    fc.asyncProperty(passphrase, fc.constantFrom('NFC', 'NFD'), async (text, form) => {
      const pem = await encryptPrivateKey(privateKey, text);
      assert.ok((await decryptPrivateKey(pem, text.normalize(form), 'k.pem')).equals(privateKey));
    }),
    { numRuns: 12 },
  );
});

/** One change to a text: a character replaced, removed, put in, or everything after it cut. */
const damage = fc.record({
  at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  how: fc.constantFrom('replace', 'remove', 'insert', 'cut'),
  character: fc.oneof(fc.constantFrom(...'ABCxyz059+/=- \n'), fc.string({ unit: 'binary', minLength: 1, maxLength: 1 })),
});

function damaged(text: string, { at, how, character }: { at: number; how: string; character: string }): string {
  const index = Math.floor(at * text.length);
  const [before, after] = [text.slice(0, index), text.slice(index)];
  if (how === 'cut') return before;
  if (how === 'insert') return before + character + after;
  return before + (how === 'replace' ? character : '') + after.slice(1);
}

test('readPrivateKey() gives the key or a GantryError, whatever happened to the file', async () => {
  const files = [plainPrivateKey(privateKey), await encryptPrivateKey(privateKey, 'passphrase')];
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...files), fc.array(damage, { minLength: 1, maxLength: 3 }), async (file, changes) => {
      const text = changes.reduce(damaged, file);
      try {
        await readPrivateKey(text, 'k.pem', async () => 'passphrase');
      } catch (error) {
        assert.ok(error instanceof GantryError, `expected a GantryError, got ${String(error)}`);
        assert.match(error.code, /^keys\//u);
        assert.ok(!error.message.includes('"passphrase"'));
      }
    }),
    { numRuns: 120 },
  );
});

test('readPrivateKey() gives a GantryError for any bytes under any label', async () => {
  const label = fc.constantFrom('PRIVATE KEY', 'ENCRYPTED PRIVATE KEY', 'RSA PRIVATE KEY', 'X');
  await fc.assert(
    fc.asyncProperty(label, fc.uint8Array({ maxLength: 200 }), async (name, bytes) => {
      const text = `-----BEGIN ${name}-----\n${Buffer.from(bytes).toString('base64')}\n-----END ${name}-----\n`;
      await assert.rejects(
        readPrivateKey(text, 'k.pem', async () => 'passphrase'),
        GantryError,
      );
    }),
  );
});

test('checkKeyName() accepts only what stays a file name of its own', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[A-Za-z0-9._-]{1,70}$/u)), (name) => {
      try {
        checkKeyName(name);
      } catch (error) {
        assert.ok(error instanceof GantryError && error.code === 'keys/bad-name');
        return;
      }
      assert.match(name, /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/u);
      assert.ok(!`${name}.pem`.endsWith('.pub.pem'));
    }),
  );
});
