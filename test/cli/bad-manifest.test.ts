/** A signed repository whose manifest nobody can read, in the store of a workspace and in a folder: one clear error, nothing changed. */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { ADD, cliWorkspace, gantry } from '../support/cli.ts';
import { deskOf, drafts } from '../support/desk.ts';
import { createSimulator, METADATA } from '../support/simulator.ts';

const update = (waves: object, variant = 'metal'): string =>
  JSON.stringify({ variant, arch: 'x86_64', version: '1.0.0', max_version: '1.0.0', waves, images: { boot: 'b', root: 'r', hash: 'h' } });
const manifest = (...updates: readonly string[]): string => `{"updates": [${updates.join(', ')}],\n "migrations": {}}`;
const HOSTILE = '\u001B[31m\u202E'.repeat(2000);

const BAD: Readonly<Record<string, { readonly bytes: () => Buffer; readonly message: RegExp }>> = {
  '50 MB': {
    bytes: () => Buffer.alloc(50_000_000, ' '),
    message: /line 1, column 1: it has 50000000 bytes; expected at most 16777216$/u,
  },
  'duplicate keys': {
    bytes: () => Buffer.from(manifest(update({})).replace('"migrations"', '"updates": [], "migrations"')),
    message: /line 2, column 2 \(updates\): the member is there a second time; expected it once$/u,
  },
  'a bound twice': {
    bytes: () => Buffer.from(manifest(update({ '07': '2026-01-01T00:00:00Z', '7': '2026-01-02T00:00:00Z' }))),
    message: /updates\[0\]\.waves\["0?7"\]\): the bound 7 is there a second time/u,
  },
  'hostile strings': {
    bytes: () => Buffer.from(manifest(update({ [HOSTILE]: HOSTILE }))),
    message: /line 1, column \d+ \(updates\[0\]\.waves\["\P{C}{1,400}\): it is no seed bound/u,
  },
  'bytes that are not UTF-8': {
    bytes: () => Buffer.concat([Buffer.from('{"updates": [],\n "migrations": {"'), Buffer.from([0xff]), Buffer.from('": []}}')]),
    message: /line 2, column 18: the byte 0xff is not UTF-8; expected JSON text$/u,
  },
};

/** The files of a repository that signs this manifest, in a folder. */
async function repositoryWith(bytes: Buffer, directory: string): Promise<void> {
  const simulator = await createSimulator();
  simulator.targets.set('manifest.json', { bytes });
  await simulator.publish();
  for (const [path, content] of simulator.files) {
    await mkdir(dirname(join(directory, path)), { recursive: true });
    await writeFile(join(directory, path), content);
  }
}

for (const [what, { bytes, message }] of Object.entries(BAD)) {
  test(`gantry refuses a published manifest with ${what}, and changes nothing`, async (t) => {
    const { directory, workspace } = await cliWorkspace(t);
    const store = join(directory, 'public');
    await repositoryWith(bytes(), store);
    await writeFile(join(workspace, '1.root.json'), await readRoot(store));
    const desk = await deskOf(workspace);
    for (const args of [['release', 'list'], ['wave', 'pause', '1.0.0'], ['release', 'lint'], ADD.with(2, '9.0.0')]) {
      await desk.refused(1, message, ...args);
      assert.deepEqual(await drafts(workspace), []);
    }
  });
}

test('gantry lint and release lint find a bound of 2,049 in a published manifest', async (t) => {
  const { directory, workspace } = await cliWorkspace(t);
  const store = join(directory, 'public');
  const waves = { '0': '2099-01-01T00:00:00Z', '2049': '2099-01-02T00:00:00Z' };
  await repositoryWith(Buffer.from(manifest(update(waves))), store);
  await writeFile(join(workspace, '1.root.json'), await readRoot(store));
  for (const command of [
    ['lint', join(store, METADATA)],
    ['release', 'lint'],
  ]) {
    const { code, stdout } = await gantry(command, { cwd: workspace });
    assert.equal(code, 3, stdout);
    assert.match(
      stdout,
      /wave-bound: manifest\.updates\[0\]\.waves\["2049"\]: 1\.0\.0 of metal\/x86_64 has a wave with bound 2049; expected 0 to 2047/u,
    );
  }
  const desk = await deskOf(workspace);
  const before = await readdir(join(store, METADATA));
  await desk.refused(3, /bound 2049: it is beyond every host's seed; expected bounds from 0 to 2047/u, 'wave', 'pause', '1.0.0');
  assert.deepEqual(await readdir(join(store, METADATA)), before);
});

async function readRoot(store: string): Promise<Uint8Array> {
  return readFile(join(store, METADATA, '1.root.json'));
}
