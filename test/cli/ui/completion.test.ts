import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { mkdir, writeFile } from 'node:fs/promises';
import type { CommandSpec, OptionSpec } from '../../../cli/program.ts';
import { completionScript, SHELLS } from '../../../cli/ui/completion.ts';
import { temporaryDirectory } from '../../support/engineer.ts';
import { requireTool } from '../../support/tools.ts';

const runFile = promisify(execFile);

const GLOBALS: readonly OptionSpec[] = [
  { flags: '-C, --workspace <dir>', description: "the person's workspace" },
  { flags: '--json', description: 'one object' },
];
const COMMANDS: readonly CommandSpec[] = [
  { name: 'init', summary: 'make', options: [{ flags: '--store <dir>', description: 'where' }] },
  {
    name: 'root',
    summary: 'who',
    subcommands: [{ name: 'init', summary: 'first', options: [{ flags: '--store', description: 'a flag here' }] }],
  },
  { name: 'make', summary: 'keys', options: [{ flags: '--type <type>', description: 'kind', choices: ['rsa', 'ecdsa'] }] },
  {
    name: 'pause',
    summary: 'hold',
    completes: 'versions',
    options: [{ flags: '--policy <name>', description: 'how', completes: 'policies' }],
  },
  { name: 'completion', summary: 'this', arguments: [['<shell>', 'which', ['bash', 'fish']]] },
];

/** What each shell offers at the end of a line; nothing: files. */
const OFFERS: readonly (readonly [line: string, offered: readonly string[]])[] = [
  ['gantry ', ['init', 'root', 'make', 'pause', 'completion']],
  ['gantry ro', ['root']],
  ['gantry root ', ['init']],
  ['gantry -C root ', ['init', 'root', 'make', 'pause', 'completion']],
  ['gantry --workspace w root ', ['init']],
  ['gantry init --', ['--store', '--workspace', '--json', '--help']],
  ['gantry init --store ', []],
  ['gantry init --store --json --j', ['--json']],
  ['gantry root init --store --j', ['--json']],
  ['gantry make --type ', ['rsa', 'ecdsa']],
  ['gantry make --type r', ['rsa']],
  ['gantry make ', []],
  ['gantry pause ', ['1.1.0', '1.2.0']],
  ['gantry pause 1.1', ['1.1.0']],
  ['gantry pause 1.2.0 --policy ', ['ohno', 'slow-roll']],
  ['gantry pause 1.2.0 --policy s', ['slow-roll']],
  ['gantry completion ', ['bash', 'fish']],
];

test('completionScript() offers what may stand at the place when bash completes', async (t) => {
  if (!requireTool(t, 'bash')) return;
  const directory = await temporaryDirectory(t);
  const file = join(directory, 'complete.bash');
  await mkdir(join(directory, 'policies', 'waves'), { recursive: true });
  for (const name of ['slow-roll.toml', 'ohno.toml', 'README.md']) await writeFile(join(directory, 'policies', 'waves', name), '');
  const lines = OFFERS.map(
    ([line]) =>
      `at ${line
        .split(' ')
        .map((word) => `'${word}'`)
        .join(' ')}`,
  );
  await writeFile(
    file,
    `${completionScript('bash', COMMANDS, GLOBALS)}
gantry() {
  if [ "$*" = "release list" ]; then printf 'variant  arch  version\\nmetal  x86_64  1.2.0  published\\nmetal  x86_64  1.1.0\\nedge  arm64  1.2.0\\n'; fi
}
at() {
  COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
  _gantry
  echo "\${COMPREPLY[*]}"
}
${lines.join('\n')}
`,
  );
  const { stdout } = await runFile('bash', ['--norc', file], { cwd: directory });
  assert.deepEqual(
    stdout
      .split('\n')
      .slice(0, -1)
      .map((line, index) => [OFFERS[index]?.[0], line]),
    OFFERS.map(([line, offered]) => [line, offered.join(' ')]),
  );
});

for (const shell of SHELLS) {
  test(`completionScript() names every command, option and choice when it writes for ${shell}`, () => {
    const script = completionScript(shell, COMMANDS, GLOBALS);
    for (const word of ['init', 'root', 'make', 'completion', 'workspace', 'json', 'store', 'type', 'rsa', 'ecdsa', 'fish']) {
      assert.match(script, new RegExp(`\\b${word}\\b`, 'u'));
    }
  });
}

test('completionScript() quotes descriptions when it writes for fish', () => {
  assert.ok(completionScript('fish', COMMANDS, GLOBALS).includes(String.raw`-s C -l workspace -r -F -d 'the person\'s workspace'`));
});

test('completionScript() looks policies and versions up when it writes for fish', () => {
  const script = completionScript('fish', COMMANDS, GLOBALS);
  assert.match(script, /'__gantry_at gantry pause' -a '\(gantry release list 2>.*\)'/u);
  assert.match(script, /-l policy -r -F -a '\(ls policies\/waves .*\)' -d 'how'/u);
});
