/**
 * The items of the public tuf-conformance suite 2.4.0, as tests of our own: a repository in memory behind a server, and our
 * conformance client as a child process that speaks the suite's protocol.
 *
 * Rules:
 * - an item carries the name that it has there; `allItems()` fails when one of a module is missing or there is one too many;
 * - judged are the exit code, the metadata on the disk, the target bytes, and the exact sequence of requests for metadata.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { temporaryDirectory } from './engineer.ts';
import { startHostileServer, type HostileServer } from './hostile-server.ts';
import { METADATA } from './simulator.ts';
import { createWorld, type World } from './tuf-world.ts';

const CLIENT = join(import.meta.dirname, '..', 'interop', 'conformance-client', 'client.ts');

/** How many items each module of the suite has: 113. */
const MODULES = {
  test_basic: 24,
  test_expiration: 6,
  test_file_download: 9,
  test_keys: 8,
  test_quoting_issues: 4,
  test_rollback: 9,
  test_static_repositories: 2,
  test_updater_delegation_graphs: 23,
  test_updater_key_rotations: 25,
  test_repository_simulator: 3,
} as const;
type Module = keyof typeof MODULES;

export interface Conformance {
  readonly world: World;
  readonly server: HostileServer;
  readonly metadataDir: string;
  readonly targetDir: string;
  /** Gives the client its first root, the first of the repository by default. @returns the exit code */
  readonly init: (root?: Uint8Array) => Promise<number>;
  readonly refresh: (env?: Readonly<Record<string, string>>) => Promise<number>;
  readonly download: (...names: readonly string[]) => Promise<number>;
  /** Versions on the disk, by role. */
  readonly trusted: () => Promise<Readonly<Record<string, number>>>;
  /** Metadata that was asked for since this was asked last, without its folder. */
  readonly asked: () => readonly string[];
  /** What was downloaded, by name. */
  readonly content: (name: string) => Promise<string>;
}

let declared: string[] = [];

/** One item of the suite; the client has been initialised with the first root. */
export function item(module: Module, name: string, run: (scene: Conformance) => Promise<void>): void {
  declared.push(`${module}: ${name}`);
  test(`conformance ${module}: ${name}`, async (t) => {
    const scene = await conformance(t, await createWorld());
    assert.equal(await scene.init(), 0);
    assert.deepEqual(scene.asked(), []);
    await run(scene);
    await assertOnlyRoles(scene.metadataDir);
  });
}

/** At the end of a file: are these all items of the module? */
export function allItems(module: Module): void {
  const items = declared.filter((name) => name.startsWith(`${module}: `));
  declared = [];
  test(`conformance ${module}: all ${MODULES[module]} items are here`, () => {
    assert.equal(new Set(items).size, MODULES[module], items.join('\n'));
  });
}

/** A client without a root, in front of this repository. */
export async function conformance(t: TestContext, world: World): Promise<Conformance> {
  const directory = await temporaryDirectory(t);
  const server = await startHostileServer(t, world.files);
  const [metadataDir, targetDir] = [join(directory, 'metadata'), join(directory, 'targets')];
  await mkdir(targetDir);
  const metadataUrl = new URL(METADATA, server.url).href;
  const repository = ['--metadata-dir', metadataDir, '--metadata-url', metadataUrl];
  return {
    world,
    server,
    metadataDir,
    targetDir,
    async init(root = world.metadata('1.root.json')) {
      const file = join(directory, 'trusted-root.json');
      await writeFile(file, root);
      return runClient(['--metadata-dir', metadataDir, 'init', file]);
    },
    refresh: async (env) => runClient([...repository, 'refresh'], env),
    async download(...names) {
      const targets = ['--target-base-url', new URL('targets/', server.url).href, '--target-dir', targetDir];
      return runClient([...repository, ...names.flatMap((name) => ['--target-name', name]), ...targets, 'download']);
    },
    trusted: async () => versionsIn(metadataDir),
    asked() {
      const paths = server.requests.filter((path) => path.startsWith(METADATA)).map((path) => path.slice(METADATA.length));
      server.requests.splice(0, server.requests.length, ...server.requests.filter((path) => !path.startsWith(METADATA)));
      return paths;
    },
    content: async (name) => readFile(join(targetDir, encodeURIComponent(name)), 'utf8'),
  };
}

async function runClient(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<number> {
  const child = spawn(process.execPath, [CLIENT, ...args], { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...env } });
  let said = '';
  child.stderr.on('data', (chunk) => (said += String(chunk)));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  // Anything else is a crash.
  assert.ok(code === 0 || (code === 1 && !/^\s+at /mu.test(said)), `exit ${code}: ${said}`);
  return code;
}

async function versionsIn(metadataDir: string): Promise<Readonly<Record<string, number>>> {
  const versions: Record<string, number> = {};
  for (const file of await readdir(metadataDir)) {
    const { signed } = JSON.parse(await readFile(join(metadataDir, file), 'utf8'));
    versions[decodeURIComponent(file.replace(/\.json$/u, ''))] = signed.version;
  }
  return versions;
}

/** Every file is a role: the suite parses them all. */
async function assertOnlyRoles(metadataDir: string): Promise<void> {
  for (const file of await readdir(metadataDir)) {
    const { signed } = JSON.parse(await readFile(join(metadataDir, file), 'utf8'));
    assert.ok(['root', 'timestamp', 'snapshot', 'targets'].includes(signed._type), file);
  }
}
