/** What a live repository is allowed to be before anything is built on it. */
import assert from 'node:assert/strict';
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { isGantryError } from '../../lib/errors.ts';
import { readLive } from '../../lib/publish/live.ts';
import { METAL, addVersion, engineerWithRelease, publish, sign, type Engineer } from '../support/engineer.ts';
import { deniedStore } from '../support/faulty-store.ts';

function metadata(engineer: Engineer, file: string): string {
  return join(engineer.storeDirectory, 'metal', 'x86_64', file);
}

test('readLive() refuses a store that was rolled back', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  const old = await readFile(metadata(engineer, 'timestamp.json'));
  await addVersion(engineer, '1.1.0');
  await sign(engineer);
  await publish(engineer);
  await writeFile(metadata(engineer, 'timestamp.json'), old);
  await assert.rejects(readLive(engineer.workspace, engineer.store, METAL), {
    code: 'publish/rolled-back',
    details: { role: 'timestamp', published: 2, live: 1 },
  });
});

test('readLive() refuses a store that was emptied', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  await rm(engineer.storeDirectory, { recursive: true });
  await assert.rejects(readLive(engineer.workspace, engineer.store, METAL), { code: 'publish/rolled-back' });
});

test('readLive() never reads a denial as an empty repository', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  await assert.rejects(readLive(engineer.workspace, deniedStore(engineer.store), METAL), { code: 'store/denied' });
});

test('readLive() refuses live metadata that our root chain does not prove', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  const stranger = await engineerWithRelease(t, '1.0.0');
  await cp(metadata(stranger, 'timestamp.json'), metadata(engineer, 'timestamp.json'));
  await cp(metadata(stranger, '1.snapshot.json'), metadata(engineer, '1.snapshot.json'));
  await assert.rejects(
    readLive(engineer.workspace, engineer.store, METAL),
    (error) => isGantryError(error) && error.code !== 'store/missing',
  );
});
