/** What a user gets: the tarball that `npm pack` makes, installed into an empty project. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { startFileServer } from '../support/file-server.ts';
import { SUPPORTED, TOO_OLD, nodeFolder } from './node-binaries.ts';

const runFile = promisify(execFile);
const ROOT = join(import.meta.dirname, '..', '..');
const FIXTURE = join(ROOT, 'fixtures', 'repositories', 'python-tuf');
const MIN_NODE = '22.22.2';

interface PackageJson {
  readonly name: string;
  readonly version: string;
  readonly exports: Readonly<Record<string, unknown>>;
}

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

let temporary: string;
let tarball: string;
let project: string;
let packageJson: PackageJson;

before(async () => {
  temporary = await mkdtemp(join(tmpdir(), 'gantry-package-'));
  packageJson = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
  await runFile('npm', ['pack', '--pack-destination', temporary], { cwd: ROOT });
  tarball = join(temporary, `${packageJson.name}-${packageJson.version}.tgz`);
  project = join(temporary, 'project');
  await mkdir(project);
  await writeFile(join(project, 'package.json'), '{ "private": true }\n');
  await runFile('npm', ['install', '--prefer-offline', tarball], { cwd: project });
});

after(() => rm(temporary, { recursive: true, force: true }));

/** Runs a command with the `node` of this folder first on PATH. */
async function runWith(folder: string, command: string, args: readonly string[]): Promise<Outcome> {
  const options = {
    cwd: project,
    env: { ...process.env, NODE_OPTIONS: '', PATH: `${folder}${delimiter}${process.env['PATH'] ?? ''}` },
  };
  try {
    return { code: 0, ...(await runFile(command, args, options)) };
  } catch (error) {
    if (isOutcome(error)) {
      return { code: error.code, stdout: error.stdout, stderr: error.stderr };
    }
    throw error;
  }
}

/** What `execFile` throws for an exit code other than 0. */
function isOutcome(error: unknown): error is Outcome {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'stderr' in error;
}

function gantry(folder: string, ...args: readonly string[]): Promise<Outcome> {
  return runWith(folder, join(project, 'node_modules', '.bin', 'gantry'), args);
}

describe('the tarball', () => {
  test('npm pack ships what runs and what init copies, and nothing of the workshop', async () => {
    const { stdout } = await runFile('tar', ['-tzf', tarball]);
    const files = stdout
      .trim()
      .split('\n')
      .map((line) => line.replace(/^package\//u, ''));
    for (const wanted of ['README.md', 'LICENSE', 'package.json', 'repo-layout/README.md', 'keys-example/README.md']) {
      assert.ok(files.includes(wanted), `${wanted} is missing`);
    }
    assert.ok(
      files.some((file) => file.startsWith('dist/')),
      'dist is missing',
    );
    const unwanted = files.filter(
      (file) =>
        /^(?:test|fixtures|\.ci|lib|cli|node_modules)\//u.test(file) ||
        /(?:(?<!\.d)\.ts|\.test\.[cm]?js|\.tgz|tsconfig.*\.json)$/u.test(file),
    );
    assert.deepEqual(unwanted, []);
  });

  test('publint finds nothing to say when it reads the tarball', async () => {
    const { stdout } = await runFile(bin('publint'), ['run', tarball, '--strict']);
    assert.match(stdout, /All good!/u);
  });

  test('attw resolves every entry when a project imports them', async () => {
    await runFile(bin('attw'), [tarball, '--profile', 'esm-only', '--no-emoji']);
  });
});

function bin(name: string): string {
  return join(ROOT, 'node_modules', '.bin', name);
}

describe('an installed package', () => {
  for (const version of [...SUPPORTED, 'own']) {
    const folder = (): Promise<string> => (version === 'own' ? Promise.resolve(dirname(process.execPath)) : nodeFolder(version));
    const label = version === 'own' ? process.versions.node : version;

    test(`gantry says its version and its help when it runs on Node ${label}`, async () => {
      const node = await folder();
      assert.deepEqual(await gantry(node, '--version'), { code: 0, stdout: `${packageJson.version}\n`, stderr: '' });
      const help = await gantry(node, '--help');
      assert.equal(help.code, 0);
      assert.equal(help.stderr, '');
      assert.match(help.stdout, /release/u);
    });

    test(`every entry loads when it is imported on Node ${label}`, async () => {
      for (const entry of Object.keys(packageJson.exports).filter((name) => !name.endsWith('.json'))) {
        const specifier = `${packageJson.name}${entry.slice(1)}`;
        const code = `console.log(Object.keys(await import(${JSON.stringify(specifier)})).length > 0)`;
        const outcome = await runWith(await folder(), 'node', ['--input-type=module', '-e', code]);
        assert.deepEqual(outcome, { code: 0, stdout: 'true\n', stderr: '' }, specifier);
      }
    });

    test(`openRepository() downloads every target of a foreign repository when it runs on Node ${label}`, async () => {
      await using server = await startFileServer(FIXTURE);
      const script = join(temporary, 'project', `read-${label}.mjs`);
      await writeFile(script, readerScript(server.url, join(temporary, `state-${label}`)));
      const outcome = await runWith(await folder(), 'node', [script]);
      assert.equal(outcome.code, 0, outcome.stderr);
      assert.deepEqual((await readdir(join(temporary, `state-${label}`, 'out'))).toSorted(), ['0', '1', '2']);
    });
  }

  for (const version of [...SUPPORTED, 'own']) {
    test(`worker threads make a frame and undo it when the package runs on Node ${version}`, async () => {
      const folder = version === 'own' ? dirname(process.execPath) : await nodeFolder(version);
      const library = join(project, 'node_modules', packageJson.name, 'dist', 'lib', 'image', 'zstd.js');
      const code = `
        import { compressFrames, decompressFrame } from ${JSON.stringify(pathToFileURL(library))};
        const frames = [];
        const parts = compressFrames([Buffer.from('an image')], { level: 3, onFrame: (frame) => frames.push(frame) });
        for await (const bytes of parts) console.log(Buffer.from(await decompressFrame(bytes, frames[0], 0)).toString());`;
      const outcome = await runWith(folder, 'node', ['--input-type=module', '-e', code]);
      assert.deepEqual(outcome, { code: 0, stdout: 'an image\n', stderr: '' });
    });
  }

  for (const version of TOO_OLD) {
    test(`gantry says in one line what to do when Node ${version} starts it`, async () => {
      const { code, stdout, stderr } = await gantry(await nodeFolder(version), '--version');
      assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
      assert.match(stderr, /^error: .*Node/u);
      assert.ok(stderr.includes(version) && stderr.includes(MIN_NODE), stderr);
      assert.equal(stdout, '');
      assert.equal(code, 6);
    });
  }
});

function readerScript(url: URL, state: string): string {
  return `
    import { mkdir, readFile } from 'node:fs/promises';
    import { openRepository } from '${packageJson.name}/client';

    await mkdir(${JSON.stringify(join(state, 'out'))}, { recursive: true });
    const client = await openRepository({
      root: await readFile(${JSON.stringify(join(FIXTURE, 'metadata', '1.root.json'))}),
      metadataUrl: ${JSON.stringify(new URL('metadata/', url))},
      targetsUrl: ${JSON.stringify(new URL('targets/', url))},
      stateDirectory: ${JSON.stringify(state)},
    });
    await client.refresh();
    for (const [index, target] of client.targets().entries()) {
      await client.download(target, ${JSON.stringify(join(state, 'out'))} + '/' + index);
    }
    client.close();
  `;
}
