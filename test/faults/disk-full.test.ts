/** A disk that fills up in mid-publish: the live repository stays, the error says so, and a second run works. */
import assert from 'node:assert/strict';
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { ADD, cliWorkspace, gantry } from '../support/cli.ts';
import { writeImages } from '../support/engineer.ts';
import { withSmallDisk } from '../support/full-disk.ts';

test('gantry publish stops at a full disk and leaves the live repository as it was', async (t) => {
  const { directory, workspace } = await cliWorkspace(t);
  const store = join(directory, 'public');
  await withSmallDisk(t, { folder: store, sizeBytes: 6 << 20 }, async () => fillAndPublish(workspace, store));
});

async function fillAndPublish(workspace: string, store: string): Promise<void> {
  for (const command of [ADD, ['sign'], ['publish']]) assert.equal((await gantry(command, { cwd: workspace })).code, 0);
  const timestamp = join(store, 'metal', 'x86_64', 'timestamp.json');
  const live = await readFile(timestamp);
  const ballast = join(store, 'ballast');
  await writeFile(ballast, new Uint8Array(2 << 20));
  const next = ADD.with(2, '1.1.0');
  await writeImages(workspace);
  for (const command of [next, ['sign']]) assert.equal((await gantry(command, { cwd: workspace })).code, 0);
  const result = await gantry(['publish'], { cwd: workspace });
  assert.equal(result.code, 6, result.stderr);
  assert.match(result.stderr, /^error: Cannot .*the disk is full/mu);
  assert.deepEqual(await readFile(timestamp), live);
  const uploads = join(store, '.gantry', 'uploads');
  // A folder may need more room to go than there is; bytes do not stay in it.
  assert.ok(!(await readdir(uploads, { recursive: true })).some((name) => name.endsWith('bytes')));
  await rm(ballast);
  assert.equal((await gantry(['publish'], { cwd: workspace })).code, 0);
  assert.deepEqual(await readdir(uploads), []);
  assert.notDeepEqual(await readFile(timestamp), live);
}
