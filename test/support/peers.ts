/**
 * What others wrote and we must agree with: small programs in `test/interop/peers/`. The foreign TUF clients read what we write,
 * one program per client; the chrono oracle decides as stock hosts do, and the lz4 decoder decompresses as they do.
 *
 * Rules:
 * - a program is built on first use into the user's cache folder, under a name that holds a digest of its
 *   sources and its toolchain, and is renamed there only when complete: an interrupted build is never used;
 * - nothing is built inside the tree;
 * - without the tools a test is skipped by name, except in CI (`CI=true`), where it fails.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, cp, mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { withLock } from '../../lib/files/lock.ts';

const runFile = promisify(execFile);

const PEERS = join(import.meta.dirname, '..', 'interop', 'peers');
/** A cold build of tough takes 3 minutes alone on two cores, and tests share them. */
const BUILD_TIMEOUT_MS = 25 * 60_000;
const READ_TIMEOUT_MS = 5 * 60_000;

export type PeerName = 'python-tuf' | 'go-tuf' | 'tough 0.19' | 'tough 0.24' | 'tuf-js';
export const PEER_NAMES: readonly PeerName[] = ['python-tuf', 'go-tuf', 'tough 0.19', 'tough 0.24', 'tuf-js'];

export interface PeerRequest {
  /** The root that the host was born with. */
  readonly rootFile: string;
  readonly metadataUrl: URL;
  readonly targetsUrl: URL;
  /** An existing folder; every target is written here under its name. */
  readonly out: string;
  /** The client's trusted metadata; a new folder for each call when omitted. */
  readonly state?: string;
}

/** What a reader prints: the versions it came to trust and the targets it downloaded, sorted. */
export interface PeerReport {
  /** Name and exact version, for example `tough 0.19.0`. */
  readonly client: string;
  readonly root: number;
  readonly timestamp: number;
  readonly snapshot: number;
  readonly targets: number;
  readonly downloaded: readonly string[];
}

/** The reader ran and refused; `message` is what it said. */
export class PeerRefused extends Error {
  override readonly name = 'PeerRefused';
}

interface Recipe {
  /** Under `peers/`; also the name of the build. */
  readonly folder: string;
  /** What a build depends on, relative to the folder. */
  readonly sources: readonly string[];
  /** Prints the version of the toolchain; fails where it is absent. */
  readonly toolchain: readonly [string, ...string[]];
  /** Commands that fill `ready`; `scratch` holds a copy of the sources and is thrown away. */
  build(scratch: string, ready: string): readonly BuildStep[];
}

interface BuildStep {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const PYTHON: Recipe = {
  folder: 'python-tuf',
  sources: ['requirements.txt'],
  toolchain: ['python3', '-c', 'import ensurepip, sys, venv; print(sys.version)'],
  build: (scratch, ready) => [
    { command: 'python3', args: ['-m', 'venv', ready] },
    {
      command: join(ready, 'bin', 'python'),
      args: ['-m', 'pip', 'install', '--quiet', '--requirement', join(scratch, 'requirements.txt')],
    },
  ],
};

const GO: Recipe = {
  folder: 'go-tuf',
  sources: ['main.go', 'go.mod', 'go.sum'],
  toolchain: ['go', 'version'],
  build: (_scratch, ready) => [{ command: 'go', args: ['build', '-mod=readonly', '-trimpath', '-o', join(ready, 'reader'), '.'] }],
};

const TOUGH_READERS = ['tough-reader-0-19', 'tough-reader-0-24'] as const;

const TOUGH: Recipe = {
  folder: 'tough',
  sources: ['reader.rs', 'Cargo.toml', '0.19/Cargo.toml', '0.24/Cargo.toml'],
  toolchain: ['cargo', '--version'],
  build: (scratch, ready) => [
    {
      command: 'cargo',
      args: ['build', '--release', '--quiet'],
      env: { CARGO_TARGET_DIR: join(scratch, 'target') },
    },
    { command: 'cp', args: [...TOUGH_READERS.map((name) => join(scratch, 'target', 'release', name)), ready] },
  ],
};

const CHRONO: Recipe = {
  folder: 'chrono',
  sources: ['oracle.rs', 'Cargo.toml'],
  toolchain: ['cargo', '--version'],
  build: (scratch, ready) => [
    { command: 'cargo', args: ['build', '--release', '--quiet'], env: { CARGO_TARGET_DIR: join(scratch, 'target') } },
    { command: 'cp', args: [join(scratch, 'target', 'release', 'chrono-oracle'), ready] },
  ],
};

const LZ4: Recipe = {
  folder: 'lz4',
  sources: ['decoder.rs', 'Cargo.toml'],
  toolchain: ['cargo', '--version'],
  build: (scratch, ready) => [
    { command: 'cargo', args: ['build', '--release', '--quiet'], env: { CARGO_TARGET_DIR: join(scratch, 'target') } },
    { command: 'cp', args: [join(scratch, 'target', 'release', 'lz4-decoder'), ready] },
  ],
};

/** The tool of tough's makers, as they publish it; takes 8 minutes to build on two cores. */
const TUFTOOL_VERSION = '0.17.0';
const TUFTOOL: Recipe = {
  folder: `tuftool-${TUFTOOL_VERSION}`,
  sources: [],
  toolchain: ['cargo', '--version'],
  build: (scratch, ready) => [
    {
      command: 'cargo',
      args: ['install', 'tuftool', '--version', TUFTOOL_VERSION, '--locked', '--quiet', '--root', ready],
      env: { CARGO_TARGET_DIR: join(scratch, 'target') },
    },
  ],
};

const PYTHON_LINTERS: Recipe = { ...PYTHON, folder: 'file-linters' };

const PROMETHEUS: Recipe = { ...PYTHON, folder: 'prometheus' };

const MOTO: Recipe = { ...PYTHON, folder: 'moto' };

const ACTIONLINT: Recipe = {
  folder: 'actionlint',
  sources: ['go.mod', 'go.sum'],
  toolchain: ['go', 'version'],
  build: (_scratch, ready) => [
    {
      command: 'go',
      args: ['build', '-mod=readonly', '-trimpath', '-o', join(ready, 'actionlint'), 'github.com/rhysd/actionlint/cmd/actionlint'],
    },
  ],
};

/** What the makers of CloudFormation, GitHub Actions and GitLab CI would say of a file for them. */
const LINTERS: Readonly<Record<LinterName, Recipe>> = {
  'cfn-lint': PYTHON_LINTERS,
  'check-jsonschema': PYTHON_LINTERS,
  actionlint: ACTIONLINT,
  python: PROMETHEUS,
};
/** `python`: one that has Prometheus's own parser. */
export type LinterName = 'python' | 'actionlint' | 'cfn-lint' | 'check-jsonschema';

type ProgramName = 'chrono' | 'lz4' | 'moto' | 'tuftool';

interface Reader {
  readonly recipe?: Recipe;
  command(ready: string): readonly [string, ...string[]];
}

const READERS: Readonly<Record<PeerName, Reader>> = {
  'python-tuf': {
    recipe: PYTHON,
    command: (ready) => [join(ready, 'bin', 'python'), join(PEERS, 'python-tuf', 'reader.py')],
  },
  'go-tuf': { recipe: GO, command: (ready) => [join(ready, 'reader')] },
  'tough 0.19': { recipe: TOUGH, command: (ready) => [join(ready, TOUGH_READERS[0])] },
  'tough 0.24': { recipe: TOUGH, command: (ready) => [join(ready, TOUGH_READERS[1])] },
  'tuf-js': { command: () => [process.execPath, join(PEERS, 'tuf-js', 'reader.ts')] },
};

/**
 * For the `skip` option of a test: why this peer cannot be asked here, or false when it can.
 *
 * Always false in CI, so that a missing toolchain fails there.
 */
export async function skipReason(name: PeerName | LinterName | ProgramName): Promise<string | false> {
  const recipe = recipeOf(name);
  if (recipe === undefined || process.env['CI'] === 'true') {
    return false;
  }
  const version = await toolchainVersion(recipe).catch(() => undefined);
  return version === undefined ? `${recipe.toolchain[0]} is not on this machine` : false;
}

function recipeOf(name: PeerName | LinterName | ProgramName): Recipe | undefined {
  if (name === 'chrono') return CHRONO;
  if (name === 'lz4') return LZ4;
  if (name === 'moto') return MOTO;
  if (name === 'tuftool') return TUFTOOL;
  if (name === 'python' || name === 'actionlint' || name === 'cfn-lint' || name === 'check-jsonschema') return LINTERS[name];
  return READERS[name].recipe;
}

/**
 * Lets a foreign client refresh and download every top-level target; builds its reader on first use.
 *
 * @throws PeerRefused when the client refused anything.
 */
export async function readWithPeer(name: PeerName, request: PeerRequest): Promise<PeerReport> {
  const [command, ...args] = await readerCommand(name);
  const ownState = request.state === undefined ? await mkdtemp(join(tmpdir(), 'gantry-peer-')) : undefined;
  const options = {
    root: request.rootFile,
    'metadata-url': request.metadataUrl.href,
    'targets-url': request.targetsUrl.href,
    out: request.out,
    state: request.state ?? ownState ?? '',
  };
  try {
    const { stdout } = await runFile(command, [...args, ...Object.entries(options).flatMap(([option, value]) => [`--${option}`, value])], {
      timeout: READ_TIMEOUT_MS,
      env: { ...process.env, NO_PROXY: '127.0.0.1,localhost,::1' },
    });
    const report: PeerReport = JSON.parse(stdout);
    return report;
  } catch (error) {
    throw isExit(error) ? new PeerRefused(`${name}: ${error.stderr.trim()}`, { cause: error }) : error;
  } finally {
    if (ownState !== undefined) {
      await rm(ownState, { recursive: true, force: true });
    }
  }
}

/** The program of a reader and its first arguments; builds it on first use. */
export async function readerCommand(name: PeerName): Promise<readonly [string, ...string[]]> {
  const reader = READERS[name];
  return reader.command(reader.recipe === undefined ? '' : await built(reader.recipe));
}

/** The program of `peers/chrono`; builds it on first use. */
export async function chronoOracle(): Promise<string> {
  return join(await built(CHRONO), 'chrono-oracle');
}

/** The program of `peers/lz4`; builds it on first use. */
export async function lz4Decoder(): Promise<string> {
  return join(await built(LZ4), 'lz4-decoder');
}

/** A Python that can run moto's server, with its first arguments; builds it on first use. */
export async function motoCommand(): Promise<readonly [string, ...string[]]> {
  return [join(await built(MOTO), 'bin', 'python'), '-m', 'moto.server'];
}

/** The program of `tuftool`; builds it on first use. */
export async function tuftool(): Promise<string> {
  return join(await built(TUFTOOL), 'bin', 'tuftool');
}

/** Builds it on first use. @returns the program and its first arguments */
export async function linterCommand(name: LinterName): Promise<readonly [string, ...string[]]> {
  const ready = await built(LINTERS[name]);
  if (name === 'actionlint') return [join(ready, name)];
  // The scripts name the folder in which they were built.
  return [join(ready, 'bin', 'python'), join(ready, 'bin', name)];
}

/** Only exit code 1 is a refusal; a crash or a signal is a defect that a test must not take for one. */
function isExit(error: unknown): error is { readonly code: 1; readonly stderr: string } {
  return error instanceof Error && 'code' in error && error.code === 1 && 'stderr' in error;
}

async function toolchainVersion(recipe: Recipe): Promise<string> {
  const [command, ...args] = recipe.toolchain;
  return (await runFile(command, args)).stdout.trim();
}

async function built(recipe: Recipe): Promise<string> {
  const folder = join(testCacheFolder(), 'peers');
  const ready = join(folder, `${recipe.folder}-${await digest(recipe)}`);
  if (await exists(ready)) {
    return ready;
  }
  await mkdir(folder, { recursive: true });
  // Test files run side by side and would otherwise build the same program twice.
  await withLock(`${ready}.lock`, { waitMs: BUILD_TIMEOUT_MS }, async () => {
    if (!(await exists(ready))) {
      await build(recipe, ready);
    }
  });
  return ready;
}

/** The lock is held, so a working folder that is already there was left by a build that died. */
async function build(recipe: Recipe, ready: string): Promise<void> {
  const working = `${ready}.building`;
  const scratch = join(working, 'scratch');
  const output = join(working, 'ready');
  console.error(`building the ${recipe.folder} program, once per machine: ${ready}`);
  await rm(working, { recursive: true, force: true });
  await mkdir(output, { recursive: true });
  await mkdir(scratch, { recursive: true });
  for (const source of recipe.sources) {
    await cp(join(PEERS, recipe.folder, source), join(scratch, source));
  }
  for (const step of recipe.build(scratch, output)) {
    await runFile(step.command, step.args, {
      cwd: scratch,
      env: { ...process.env, ...step.env },
      timeout: BUILD_TIMEOUT_MS,
      maxBuffer: 64 * 1024 * 1024,
    });
  }
  await rename(output, ready);
  await rm(working, { recursive: true, force: true });
}

async function digest(recipe: Recipe): Promise<string> {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch} ${await toolchainVersion(recipe)}\n`);
  for (const source of recipe.sources) {
    hash.update(`${source}\n`).update(await readFile(join(PEERS, recipe.folder, source)));
  }
  return hash.digest('hex').slice(0, 16);
}

/** Where builds and downloads of the tests are kept between runs, outside the tree. */
export function testCacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'gantry-test');
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
