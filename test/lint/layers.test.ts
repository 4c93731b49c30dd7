/** The layers hold: in the sources as they are, and because the linter refuses what would break them. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { readImports, reachedFrom, roomOf, type ImportGraph } from '../support/imports.ts';

const runFile = promisify(execFile);
const ROOT = join(import.meta.dirname, '..', '..');

/** What each room may reach. Written out, not derived: a mistake in the linter's own table shows here. */
const MAY_REACH: Readonly<Record<string, readonly string[]>> = {
  aws: [],
  files: [],
  http: [],
  tuf: [],
  keys: ['tuf', 'files', 'aws'],
  release: ['tuf'],
  image: [],
  repository: ['tuf', 'release', 'image'],
  store: ['files', 'aws'],
  workspace: ['repository', 'release', 'image', 'keys', 'files', 'tuf', 'aws'],
  client: ['tuf', 'release', 'image', 'files', 'http'],
  publish: ['repository', 'workspace', 'store', 'client', 'tuf', 'release', 'image', 'keys', 'files', 'http', 'aws'],
  host: ['client', 'release', 'image', 'files', 'tuf', 'http'],
  server: ['publish', 'store', 'keys', 'repository', 'workspace', 'client', 'tuf', 'release', 'image', 'files', 'http', 'aws'],
};
const PURE = ['tuf', 'release', 'image', 'repository'];
const ROOMS = Object.keys(MAY_REACH);

function isAllowed(room: string, other: string): boolean {
  return room === other || (MAY_REACH[room] ?? []).includes(other);
}

describe('the sources', () => {
  let graph: ImportGraph;
  before(async () => {
    graph = await readImports(ROOT, ['lib', 'cli']);
  });

  test('every folder of lib is a room of the table when the sources are walked', () => {
    const rooms = [...graph.files.keys()].map(roomOf).filter((room) => room !== undefined && room !== 'cli');
    assert.deepEqual(
      [...new Set(rooms)].filter((room) => room === undefined || !ROOMS.includes(room)),
      [],
    );
  });

  test('no file imports another room than its table allows when the sources are walked', () => {
    const breaches = [...graph.files].flatMap(([file, imported]) => {
      const room = roomOf(file);
      if (room === undefined || room === 'cli') return [];
      return imported
        .filter((other) => other !== 'lib/errors.ts' && !isAllowed(room, roomOf(other) ?? 'an entry'))
        .map((other) => `${file} imports ${other}`);
    });
    assert.deepEqual(breaches, []);
  });

  test('lib/errors.ts imports nothing when the sources are walked', () => {
    assert.deepEqual([graph.files.get('lib/errors.ts'), graph.packages.get('lib/errors.ts')], [[], []]);
  });

  test('every import leads to a file when the sources are walked', () => {
    const missing = [...graph.files].flatMap(([file, imported]) =>
      imported.filter((other) => !graph.files.has(other)).map((other) => `${file}: ${other}`),
    );
    assert.deepEqual(missing, []);
  });

  test('the client reaches neither keys nor anything that writes a repository when its imports are followed', () => {
    const reached = [...reachedFrom(graph, 'lib/client/index.ts')];
    assert.ok(reached.length > 5);
    assert.deepEqual(
      reached.filter((file) => file !== 'lib/errors.ts' && !isAllowed('client', roomOf(file) ?? 'an entry')),
      [],
    );
  });

  test('pure rooms import only what computes when the sources are walked', () => {
    const pure = ['node:buffer', 'node:crypto', 'node:stream', 'node:util', 'node:worker_threads', 'node:zlib'];
    const breaches = [...graph.packages]
      .filter(([file]) => PURE.includes(roomOf(file) ?? ''))
      .flatMap(([file, packages]) =>
        packages.filter((name) => name.startsWith('node:') && !pure.includes(name)).map((name) => `${file}: ${name}`),
      );
    assert.deepEqual(breaches, []);
  });

  // The linter knows `Date.now` but not a constructor without arguments.
  test('pure rooms never ask what time it is when the sources are walked', async () => {
    for (const file of graph.files.keys()) {
      if (!PURE.includes(roomOf(file) ?? '')) continue;
      assert.doesNotMatch(await readFile(join(ROOT, file), 'utf8'), /\bnew Date\(\)|\bDate\(\)|\bDate\.now\b|\bperformance\b/u, file);
    }
  });
});

interface Diagnostic {
  readonly filename: string;
  readonly code: string;
  readonly message: string;
}

/** Every way to break a rule, by file; the value is the rule that must refuse it, or nothing. */
const samples = new Map<string, { readonly source: string; readonly rule: string | undefined }>();

for (const room of ROOMS) {
  for (const other of ROOMS.filter((one) => one !== room)) {
    const rule = isAllowed(room, other) ? undefined : 'no-restricted-imports';
    samples.set(`lib/${room}/uses-${other}.ts`, { source: `export { name } from '../${other}/name.ts';\n`, rule });
    samples.set(`lib/${room}/deep/uses-${other}.ts`, { source: `export { name } from '../../${other}/name.ts';\n`, rule });
  }
  samples.set(`lib/${room}/name.ts`, { source: `export const name: string = '${room}';\n`, rule: undefined });
  samples.set(`lib/${room}/uses-errors.ts`, { source: `export { name } from '../errors.ts';\n`, rule: undefined });
  samples.set(`lib/${room}/uses-cli.ts`, { source: `export { name } from '../../cli/name.ts';\n`, rule: 'no-restricted-imports' });
  samples.set(`lib/${room}/uses-files-of-node.ts`, {
    source: `export { readFileSync } from 'node:fs';\n`,
    rule: PURE.includes(room) ? 'no-restricted-imports' : undefined,
  });
}
const others: readonly (readonly [path: string, source: string, rule: string | undefined])[] = [
  ['cli/name.ts', `export const name: string = 'cli';\n`, undefined],
  ['cli/uses-lib.ts', `export { name } from '../lib/publish/name.ts';\n`, undefined],
  ['cli/prints.ts', `console.error('cli may');\n`, undefined],
  ['lib/errors.ts', `export const name: string = 'errors';\n`, undefined],
  ['lib/client/detour.ts', `export { name } from '../../lib/keys/name.ts';\n`, 'no-restricted-imports'],
  ['lib/client/later.ts', `export const later: unknown = await import('../keys/name.ts');\n`, 'no-restricted-imports'],
  ['lib/client/type.ts', `export type { name } from '../keys/name.ts';\n`, 'no-restricted-imports'],
  ['lib/tuf/network.ts', `export { connect } from 'net';\n`, 'no-restricted-imports'],
  ['lib/tuf/clock.ts', `export const now: number = Date.now();\n`, 'no-restricted-properties'],
  ['lib/repository/clock.ts', `export const now: number = performance.now();\n`, 'no-restricted-globals'],
  ['lib/release/environment.ts', `export const home: unknown = process.env;\n`, 'no-restricted-globals'],
  ['lib/image/request.ts', `export const page: unknown = fetch('http://localhost');\n`, 'no-restricted-globals'],
  ['lib/store/one.ts', `import { two } from './two.ts';\nexport const one: number = two;\n`, 'no-cycle'],
  ['lib/store/two.ts', `import { one } from './one.ts';\nexport const two: number = one;\n`, 'no-cycle'],
  ['lib/keys/prints.ts', `console.log('lib may not');\n`, 'no-console'],
  ['lib/keys/exits.ts', `process.exit(1);\n`, 'no-process-exit'],
  ['lib/http/any.ts', `export const value: any = 1;\n`, 'no-explicit-any'],
  ['lib/http/not-null.ts', `export const value = (one: string | null): string => one!;\n`, 'no-non-null-assertion'],
  ['lib/http/floating.ts', `export function start(work: () => Promise<void>): void {\n  work();\n}\n`, 'no-floating-promises'],
  ['lib/http/clock.ts', `export const now: number = Date.now();\n`, undefined],
];
for (const [path, source, rule] of others) samples.set(path, { source, rule });

describe('oxlint', () => {
  let folder: string;
  let diagnostics: readonly Diagnostic[];

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'gantry-lint-'));
    for (const file of ['oxlint.config.ts', 'tsconfig.json', 'package.json']) await copyFile(join(ROOT, file), join(folder, file));
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    for (const [path, { source }] of samples) {
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), source);
    }
    diagnostics = await lint(folder);
  });
  after(async () => rm(folder, { recursive: true, force: true }));

  const found = (path: string): readonly string[] =>
    diagnostics.filter(({ filename }) => filename.replaceAll('\\', '/') === path).map(({ code }) => code.replace(/^.*\((.*)\)$/u, '$1'));

  test('refuses every import against the direction of the layers when a sample of each is linted', () => {
    for (const [path, { rule }] of samples)
      if (rule !== undefined) assert.ok(found(path).includes(rule), `${path}: ${found(path).join()} without ${rule}`);
  });

  test('has nothing to say when a sample keeps the rules', () => {
    for (const [path, { rule }] of samples) if (rule === undefined) assert.deepEqual(found(path), [], path);
  });
});

/** The linter exits with 1 when it found something. */
async function lint(folder: string): Promise<readonly Diagnostic[]> {
  const run = runFile(process.execPath, [join(ROOT, 'node_modules', 'oxlint', 'bin', 'oxlint'), '--type-aware', '--format', 'json'], {
    cwd: folder,
    maxBuffer: 64 << 20,
  });
  const stdout = await run.then(
    (result) => result.stdout,
    (error: { readonly stdout: string }) => error.stdout,
  );
  const report: { readonly diagnostics: readonly Diagnostic[] } = JSON.parse(stdout);
  return report.diagnostics;
}
