/** What scripts and people get from the process itself: exit codes, streams, colours, help. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { commands } from '../../cli/commands/index.ts';
import type { CommandSpec } from '../../cli/program.ts';
import { gantry } from '../support/cli.ts';
import { temporaryDirectory } from '../support/engineer.ts';

const ROOT = join(import.meta.dirname, '..', '..');

interface Report {
  readonly ok: boolean;
  readonly error: { readonly code: string; readonly message: string; readonly details: object; readonly hint: string };
}

const WRONG: readonly (readonly [args: readonly string[], message: string, hint: string])[] = [
  [
    ['relase'],
    'Cannot run gantry: there is no command relase; expected one that --help lists',
    'did you mean release? gantry --help shows how',
  ],
  [
    ['key', 'lst'],
    'Cannot run gantry key: there is no command lst; expected one that --help lists',
    'did you mean list? gantry key --help shows how',
  ],
  [
    ['status', '--jsno'],
    'Cannot run gantry status: there is no option --jsno; expected one that --help lists',
    'did you mean --json? gantry status --help shows how',
  ],
  [
    ['key', 'show'],
    'Cannot run gantry key show: the argument <name> is missing; expected it behind the command',
    'gantry key show --help shows how',
  ],
  [['wave', 'pause', '1', '2'], 'Cannot run gantry wave pause: there are 2 arguments; expected 1', 'gantry wave pause --help shows how'],
  [
    ['wave', 'pause', '1', '--lead'],
    'Cannot run gantry wave pause: the value of --lead <offset> is missing; expected it behind the option',
    'gantry wave pause --help shows how',
  ],
  [
    ['publish', '--verify', 'x'],
    'Cannot run gantry publish: --verify <depth> is "x"; expected one of none, metadata, changed, all',
    'gantry publish --help shows how',
  ],
  [
    ['completion', 'ksh'],
    'Cannot run gantry completion: <shell> is "ksh"; expected one of bash, zsh, fish',
    'gantry completion --help shows how',
  ],
  [
    ['release', 'recall', '1'],
    'Cannot run gantry release recall: the option --to <version> is missing; expected it',
    'gantry release recall --help shows how',
  ],
];

for (const [args, message, hint] of WRONG) {
  test(`gantry ${args.join(' ')} exits with 2 and says what was meant`, async (t) => {
    const cwd = await temporaryDirectory(t);
    assert.deepEqual(await gantry(args, { cwd }), { code: 2, stdout: '', stderr: `error: ${message}\nhint: ${hint}\n` });
    const { code, stdout, stderr } = await gantry([...args, '--json'], { cwd });
    const { ok, error }: Report = JSON.parse(stdout);
    assert.deepEqual({ code, stderr, ok }, { code: 2, stderr: '', ok: false });
    assert.deepEqual([error.code, error.message, error.hint], ['usage/arguments', message, hint]);
  });
}

test('gantry exits with 2 and shows help on stderr when there is nothing to do', async (t) => {
  const cwd = await temporaryDirectory(t);
  for (const [args, usage] of [
    [[], /^Usage: gantry /u],
    [['key'], /^Usage: gantry key /u],
  ] as const) {
    const { code, stdout, stderr } = await gantry(args, { cwd });
    assert.deepEqual([code, stdout], [2, '']);
    assert.match(stderr, usage);
  }
  const { code, stdout, stderr } = await gantry(['--json'], { cwd });
  assert.deepEqual([code, stderr], [2, '']);
  assert.match(stdout, /"usage\/arguments"/u);
});

test('gantry --version prints the version of the package when it is asked', async (t) => {
  const { version }: { readonly version: string } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
  assert.deepEqual(await gantry(['--version'], { cwd: await temporaryDirectory(t) }), { code: 0, stdout: `${version}\n`, stderr: '' });
});

/** Every command that does something, by its words. */
function leaves(
  specs: readonly CommandSpec[],
  path: readonly string[],
): readonly (readonly [path: readonly string[], spec: CommandSpec])[] {
  return specs.flatMap((spec) => {
    const here = [...path, spec.name];
    return spec.subcommands === undefined ? [[here, spec] as const] : leaves(spec.subcommands, here);
  });
}

test('gantry COMMAND --help shows options and runnable examples when a command has arguments', async (t) => {
  const cwd = await temporaryDirectory(t);
  await Promise.all(
    leaves(commands, []).map(async ([path, { options = [], examples = [], arguments: names = [] }]) => {
      const { code, stdout, stderr } = await gantry([...path, '--help'], { cwd });
      assert.deepEqual([code, stderr], [0, ''], path.join(' '));
      for (const { flags } of options) assert.ok(stdout.includes(flags), `${path.join(' ')}: ${flags}`);
      for (const example of examples) assert.ok(stdout.includes(`  $ ${example}\n`), `${path.join(' ')}: ${example}`);
      if (names.length > 0 && path[0] !== 'key') assert.ok(examples.length > 0, `${path.join(' ')} has no example`);
    }),
  );
});

test('gantry keeps compiled code in the cache of the user when it starts, never where others can write', async (t) => {
  const cwd = await temporaryDirectory(t);
  await gantry(['--version'], { cwd, env: { TMPDIR: cwd, XDG_CACHE_HOME: join(cwd, 'cache'), NODE_COMPILE_CACHE: undefined } });
  assert.deepEqual(await readdir(cwd), ['cache']);
  assert.deepEqual(await readdir(join(cwd, 'cache')), ['gantry']);
});

/** Speed by construction: what is not loaded costs nothing. */
test('gantry --help loads nothing of the library but its errors when it starts', async (t) => {
  const directory = await temporaryDirectory(t);
  const hook = join(directory, 'hook.mjs');
  const seen = join(directory, 'seen.json');
  await writeFile(
    hook,
    `import { registerHooks } from 'node:module';
import { writeFileSync } from 'node:fs';
const seen = [];
registerHooks({ load(url, context, next) { seen.push(url); return next(url, context); } });
process.on('exit', () => writeFileSync(${JSON.stringify(seen)}, JSON.stringify(seen)));
`,
  );
  const { code } = await gantry(['--help'], { cwd: directory, env: { NODE_OPTIONS: `--import=${hook}` } });
  assert.equal(code, 0);
  const urls: readonly string[] = JSON.parse(await readFile(seen, 'utf8'));
  const loaded = (pattern: RegExp): readonly string[] => [...new Set(urls.flatMap((url) => pattern.exec(url)?.[1] ?? []))].toSorted();
  assert.deepEqual(loaded(/\/(lib\/[^?]+\.ts)$/u), ['lib/errors.ts', 'lib/files/system-error.ts']);
  assert.deepEqual(loaded(/\/node_modules\/([^/]+)/u), ['commander']);
});

test('gantry colours its errors when FORCE_COLOR is set, and never with --no-color or NO_COLOR', async (t) => {
  const cwd = await temporaryDirectory(t);
  const plain = 'error: Cannot open a workspace';
  const stderrOf = async (args: readonly string[], env: NodeJS.ProcessEnv): Promise<string> =>
    (await gantry(['status', ...args], { cwd, env })).stderr;
  assert.ok((await stderrOf([], { FORCE_COLOR: '1', NO_COLOR: undefined })).startsWith('\u001B[31merror:\u001B[39m'));
  assert.ok((await stderrOf(['--no-color'], { FORCE_COLOR: '1', NO_COLOR: undefined })).startsWith(plain));
  assert.ok((await stderrOf([], { NO_COLOR: '1' })).startsWith(plain));
});

test('gantry ends without a word when the reader of its output has gone', async (t) => {
  const cwd = await temporaryDirectory(t);
  const child = spawn(process.execPath, [join(ROOT, 'cli', 'gantry.ts'), 'demo'], {
    cwd,
    env: { ...process.env, FORCE_COLOR: undefined, NO_COLOR: '1', TMPDIR: cwd },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  child.stdout.once('data', () => child.stdout.destroy());
  const [code] = await once(child, 'close');
  assert.deepEqual([code, stderr], [0, '']);
  assert.deepEqual(await readdir(cwd), []);
});
