/** Repositories that other implementations wrote: what they sign must verify here, byte for byte. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { canonicalBytes } from '../../lib/tuf/canonical.ts';
import { keyIdOf } from '../../lib/tuf/key.ts';
import { parseEnvelope, readSignedRole, sealEnvelope } from '../../lib/tuf/role.ts';
import { signingPayload } from '../../lib/tuf/payload.ts';
import { verifyThreshold } from '../../lib/tuf/signature.ts';
import type { Envelope, Root, TopRoleName } from '../../lib/tuf/types.ts';
import { FIXTURES } from '../support/fixtures.ts';

for (const fixture of FIXTURES) {
  const read = (file: string): Promise<Uint8Array> => readFile(join(fixture.directory, 'metadata', file));
  const readRoot = async (file: string): Promise<Envelope<Root>> => parseEnvelope(await read(file), 'root');
  const { targets, snapshot, timestamp } = fixture.versions;
  const others: readonly (readonly [TopRoleName, string, number])[] = [
    ['targets', `${targets}.targets.json`, targets],
    ['snapshot', `${snapshot}.snapshot.json`, snapshot],
    ['timestamp', 'timestamp.json', timestamp],
  ];
  const roots = Array.from({ length: fixture.versions.root }, (_, index) => `${index + 1}.root.json`);
  const files: readonly (readonly [TopRoleName, string, number])[] = [
    ...roots.map((file, index) => ['root', file, index + 1] as const),
    ...others,
  ];

  describe(`a repository written by ${fixture.name}`, () => {
    for (const [index, file] of roots.entries()) {
      test(`verifyThreshold() accepts ${file} when its own keys and those of the root before it are asked`, async () => {
        const root = await readRoot(file);
        const before = await readRoot(roots[index - 1] ?? file);
        verifyThreshold(root, root.signed.keys, root.signed.roles.root, 'root');
        verifyThreshold(root, before.signed.keys, before.signed.roles.root, 'root');
      });

      test(`keyIdOf() computes the key ids of ${file} when they follow the specification`, async () => {
        const { keys } = (await readRoot(file)).signed;
        assert.deepEqual(Object.values(keys).map(keyIdOf), Object.keys(keys));
      });
    }

    for (const [role, file, version] of others) {
      test(`verifyThreshold() accepts ${file} when the newest root lists its keys`, async () => {
        const root = (await readRoot(roots.at(-1) ?? '')).signed;
        const envelope = parseEnvelope(await read(file), role);
        verifyThreshold(envelope, root.keys, root.roles[role], role);
        assert.equal(envelope.signed.version, version);
      });
    }

    for (const [role, file] of files) {
      test(`parseEnvelope() loses nothing of ${file} when it is written and read again`, async () => {
        const bytes = await read(file);
        const once = parseEnvelope(bytes, role);
        const sealed = sealEnvelope(once);
        const twice = parseEnvelope(sealed.bytes, role);
        const original: { readonly signed: unknown } = JSON.parse(new TextDecoder().decode(bytes));
        assert.deepEqual(signingPayload(once.signed), canonicalBytes(original.signed));
        assert.deepEqual(signingPayload(twice.signed), canonicalBytes(original.signed));
      });

      test(`readSignedRole() keeps the bytes of ${file} when it measures them`, async () => {
        const bytes = await read(file);
        const signed = readSignedRole(bytes, role);
        assert.deepEqual(Buffer.from(signed.bytes), bytes);
        assert.equal(signed.lengthBytes, bytes.length);
      });
    }
  });
}
