/** `gantry clone`: verified, byte for byte, resumable, and never worse than the copy that was there. */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { gantry, type CliResult } from '../support/cli.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { flipBit, startHostileServer, type HostileServer } from '../support/hostile-server.ts';
import { createWorld, MANIFEST } from '../support/tuf-world.ts';
import { publishedRepository, type PublishedRepository } from '../support/published-repository.ts';

interface Scene {
  readonly cwd: string;
  readonly repository: PublishedRepository;
  readonly server: HostileServer;
  readonly clone: (...args: readonly string[]) => Promise<CliResult>;
}

async function scene(t: TestContext): Promise<Scene> {
  const cwd = await temporaryDirectory(t);
  const repository = await publishedRepository(join(cwd, 'public'));
  const server = await startHostileServer(t, repository.directory);
  const url = new URL('metal/x86_64', server.url).href;
  return {
    cwd,
    repository,
    server,
    clone: async (...args) =>
      gantry(
        [
          'clone',
          url,
          'copy',
          ...(args.some((arg) => /^--(?:trust-first-)?root/u.test(arg)) ? [] : ['--root', repository.rootFile]),
          ...args,
        ],
        {
          cwd,
        },
      ),
  };
}

/** Every file below a folder with its bytes; our own hidden ones apart. */
async function filesBelow(folder: string): Promise<Readonly<Record<string, string>>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
    .map(({ parentPath, name }) => join(parentPath, name));
  const contents = await Promise.all(
    files.map(async (file) => [file.slice(folder.length + 1), hash('sha256', await readFile(file))] as const),
  );
  return Object.fromEntries(contents.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

test('gantry clone copies every published byte, and nothing the second time', async (t) => {
  const { cwd, repository, clone } = await scene(t);
  const first = await clone('--json');
  assert.equal(first.code, 0, first.stderr);
  assert.deepEqual(await filesBelow(join(cwd, 'copy')), await filesBelow(repository.directory));
  const { metadata, fetched } = JSON.parse(first.stdout);
  assert.deepEqual(metadata, ['1.root.json', '2.root.json', '7.targets.json', '9.snapshot.json', 'timestamp.json']);
  assert.equal(fetched.length, repository.targets.size);
  const second = JSON.parse((await clone('--json')).stdout);
  assert.deepEqual([second.fetched, second.metadata], [[], []]);
});

test('gantry clone fetches again only what is damaged or missing', async (t) => {
  const { cwd, repository, clone } = await scene(t);
  await clone();
  const [[name] = assert.fail(), [other] = assert.fail()] = repository.targets;
  const at = (target: string): string => repository.publishedFile(target).replace(join(cwd, 'public'), join(cwd, 'copy'));
  const bytes = await readFile(at(name));
  bytes[3] = (bytes[3] ?? 0) ^ 1;
  await writeFile(at(name), bytes);
  await rm(at(other));
  await rm(join(cwd, 'copy', 'metal', 'x86_64', '9.snapshot.json'));
  const dry = JSON.parse((await clone('--dry-run', '--json')).stdout);
  assert.deepEqual([dry.fetched, dry.metadata], [[name, other], ['9.snapshot.json']]);
  await assert.rejects(stat(at(other)));
  assert.deepEqual(JSON.parse((await clone('--json')).stdout).fetched, [name, other]);
  assert.deepEqual(await filesBelow(join(cwd, 'copy')), await filesBelow(repository.directory));
});

test('gantry clone leaves no timestamp.json when a target is not what was signed', async (t) => {
  const { cwd, server, clone } = await scene(t);
  for (const name of await readdir(join(cwd, 'public', 'targets')))
    server.lies.set(
      name,
      flipBit(() => 5),
    );
  const { code, stderr } = await clone();
  assert.equal(code, 1, stderr);
  await assert.rejects(stat(join(cwd, 'copy', 'metal', 'x86_64', 'timestamp.json')), { code: 'ENOENT' });
  server.lies.clear();
  assert.equal((await clone()).code, 0);
});

test('gantry clone has every delegated role, and refuses a source that was rolled back behind the copy', async (t) => {
  const cwd = await temporaryDirectory(t);
  const world = await createWorld();
  const team = await world.delegate('targets', { name: 'team', terminating: false, paths: ['team/*'] });
  const content = Buffer.from('an app');
  team.targets.set('team/app.img', content);
  world.files.set(world.targetFile('team/app.img', content), content);
  world.files.set(world.targetFile('manifest.json', MANIFEST), MANIFEST);
  await world.publish();
  const older = new Map(world.files);
  await writeFile(join(cwd, '1.root.json'), world.metadata('1.root.json'));
  const served = new Map(world.files);
  const { url } = await startHostileServer(t, served);
  const clone = async (): Promise<CliResult> =>
    gantry(['clone', new URL('metal/x86_64', url).href, 'copy', '--root', '1.root.json'], { cwd });
  assert.equal((await clone()).code, 0);
  const copied = await filesBelow(join(cwd, 'copy'));
  assert.ok(Object.hasOwn(copied, 'metal/x86_64/1.team.json'));
  // Where the specification looks, and where tough does.
  assert.equal(copied[world.targetFile('team/app.img', content)], hash('sha256', content));
  assert.equal(copied[`targets/${hash('sha256', content)}.team/app.img`], hash('sha256', content));
  await world.publish();
  for (const [name, bytes] of world.files) served.set(name, bytes);
  assert.equal((await clone()).code, 0);
  const newer = await filesBelow(join(cwd, 'copy'));
  assert.ok(Object.hasOwn(newer, 'metal/x86_64/2.team.json'));
  for (const [name, bytes] of older) served.set(name, bytes);
  const { code, stderr } = await clone();
  assert.equal(code, 1, stderr);
  assert.deepEqual(await filesBelow(join(cwd, 'copy')), newer);
});

test('gantry clone copies the part that is asked for, and all of the metadata', async (t) => {
  const { cwd, clone } = await scene(t);
  const metadataOnly = JSON.parse((await clone('--metadata-only', '--json')).stdout);
  assert.deepEqual([metadataOnly.listed, metadataOnly.selected, metadataOnly.fetched], [3, 0, []]);
  const part = JSON.parse((await clone('--target', '*-root.ext4.zst', '--json')).stdout);
  assert.deepEqual(part.fetched.map((name: string) => name.replace(/.*-root/u, 'root')).toSorted(), ['manifest.json', 'root.ext4.zst']);
  assert.equal((await readdir(join(cwd, 'copy', 'targets'))).length, 2);
  assert.equal((await clone('--target', 'nothing-*')).code, 2);
  assert.equal((await clone('--release', '9.9.9')).code, 2);
  assert.equal((await clone('--release', '9.9.9', '--metadata-only')).code, 2);
});

test('gantry clone believes a root by its digest, or the first one when that is asked for and said', async (t) => {
  const { repository, clone } = await scene(t);
  const digest = hash('sha256', await readFile(repository.rootFile));
  assert.equal((await clone('--root-sha256', digest)).code, 0);
  const foreign = await clone('--root-sha256', '0'.repeat(64));
  assert.equal(foreign.code, 3, foreign.stderr);
  assert.match(foreign.stderr, /none of its 2 roots is it/u);
  const believed = await clone('--trust-first-root');
  assert.equal(believed.code, 0);
  assert.match(
    believed.stderr.replaceAll(/\s+/gu, ' '),
    new RegExp(`Believing 1\\.root\\.json of the repository itself, SHA-256 ${digest}`, 'u'),
  );
  assert.equal((await clone('--trust-first-root', '--root-sha256', digest)).code, 2);
});

test('gantry clone keeps roots older than the one that is trusted', async (t) => {
  const { cwd, repository, clone } = await scene(t);
  const newer = repository.rootFile.replace('1.root.json', '2.root.json');
  assert.equal((await clone('--root', newer)).code, 0);
  assert.deepEqual(await filesBelow(join(cwd, 'copy')), await filesBelow(repository.directory));
});
