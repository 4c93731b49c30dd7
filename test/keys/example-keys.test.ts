import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { listKeyFiles } from '../../lib/keys/key-file.ts';
import { readPrivateKey } from '../../lib/keys/pkcs8.ts';
import { exampleKeyIds } from '../../lib/tuf/example-keys.ts';
import { keyIdOf, publicKeyFromKeyObject } from '../../lib/tuf/key.ts';

const DIRECTORY = join(import.meta.dirname, '..', '..', 'keys-example');
const NAMES = ['online', 'root-a', 'root-b', 'root-c', 'targets'];

test('exampleKeyIds are exactly the ids of the files in keys-example/', async () => {
  const keys = await listKeyFiles(DIRECTORY);
  assert.deepEqual(
    keys.map(({ name, encrypted, key }) => [name, encrypted, key.keytype]),
    NAMES.map((name) => [name, false, 'ed25519']),
  );
  assert.deepEqual(new Set(keys.map(({ keyId }) => keyId)), exampleKeyIds);
});

test('keys-example/ holds both halves of each key, and nothing else', async () => {
  const expected = ['README.md', ...NAMES.flatMap((name) => [`${name}.pem`, `${name}.pub.pem`])];
  assert.deepEqual((await readdir(DIRECTORY)).toSorted(), expected.toSorted());
  for (const { name, keyId } of await listKeyFiles(DIRECTORY)) {
    const privatePath = join(DIRECTORY, `${name}.pem`);
    const privateKey = await readPrivateKey(await readFile(privatePath, 'utf8'), privatePath, async () =>
      assert.fail('it is not encrypted'),
    );
    assert.equal(keyIdOf(publicKeyFromKeyObject(privateKey)), keyId);
  }
});
