import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { linkOrCopy } from '../../lib/files/link.ts';
import { temporaryDirectory } from '../support/engineer.ts';

test('linkOrCopy() gives a file a second name in the same file system', async (t) => {
  const directory = await temporaryDirectory(t);
  const [from, to] = [join(directory, 'a'), join(directory, 'b')];
  await writeFile(from, 'bytes');
  await linkOrCopy(from, to);
  assert.equal((await stat(to)).ino, (await stat(from)).ino);
});

test('linkOrCopy() copies the bytes when the other name lies in another file system', async (t) => {
  const directory = await temporaryDirectory(t);
  const { dev } = await stat(directory);
  let elsewhere: string | undefined;
  for (const place of ['/dev/shm', tmpdir()]) {
    if (((await stat(place).catch(() => undefined))?.dev ?? dev) !== dev) elsewhere = await mkdtemp(join(place, 'gantry-test-'));
  }
  if (elsewhere === undefined) return t.skip('there is no other file system');
  const other = elsewhere;
  t.after(async () => rm(other, { recursive: true, force: true }));
  const [from, to] = [join(directory, 'a'), join(other, 'b')];
  await writeFile(from, 'bytes');
  await linkOrCopy(from, to);
  assert.equal(await readFile(to, 'utf8'), 'bytes');
  await assert.rejects(linkOrCopy(from, to), { code: 'files/exists' });
});

test('linkOrCopy() says files/missing or files/exists, and changes nothing, when one name is not as it must be', async (t) => {
  const directory = await temporaryDirectory(t);
  const [from, to] = [join(directory, 'a'), join(directory, 'b')];
  await assert.rejects(linkOrCopy(from, to), { code: 'files/missing', details: { path: from } });
  await writeFile(from, 'new');
  await writeFile(to, 'old');
  await assert.rejects(linkOrCopy(from, to), { code: 'files/exists', details: { path: to } });
  assert.equal(await readFile(to, 'utf8'), 'old');
});
