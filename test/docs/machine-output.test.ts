/** The table "Machine output" in `docs/ci.md`: every command is run with `--json`, and its top-level members are those of its row. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { commands } from '../../cli/commands/index.ts';
import type { CommandSpec } from '../../cli/program.ts';
import { startStaticServer } from '../../lib/server/static-server.ts';
import { ADD, cliWorkspace, gantry } from '../support/cli.ts';
import { writeDiskOf } from '../support/gpt.ts';

interface Row {
  readonly command: string;
  /** A `?` at its end: there is not always something to say. */
  readonly members: readonly string[];
}

async function readRows(): Promise<readonly Row[]> {
  const text = await readFile(new URL('../../docs/ci.md', import.meta.url), 'utf8');
  const section = /^## Machine output\n(?<body>[\s\S]*?)(?=^## )/mu.exec(text)?.groups?.['body'] ?? '';
  return [...section.matchAll(/^\| `gantry (?<command>[^`]+)` \| (?<members>.*) \|$/gmu)].map(({ groups = {} }) => ({
    command: groups['command'] ?? '',
    members: [...(groups['members'] ?? '').matchAll(/`([^`]+)`/gu)].map(([, member = '']) => member),
  }));
}

function namesOf(specs: readonly CommandSpec[], before: readonly string[] = []): readonly string[] {
  return specs.flatMap((spec) => {
    const path = [...before, spec.name];
    return [...(spec.run === undefined ? [] : [path.join(' ')]), ...namesOf(spec.subcommands ?? [], path)];
  });
}

const rows = await readRows();

test('the table of machine output has every command', () => {
  const described = new Set(rows.map(({ command }) => command.replace(/ --.*$/u, '')));
  assert.deepEqual(
    namesOf(commands).filter((name) => !described.has(name)),
    [],
  );
});

interface Scene {
  readonly workspace: string;
  readonly url: string;
  readonly target: string;
}

const IMAGES = ADD.slice(3);
const UNTIL_CTRL_C = ['serve'];

/** In this order, in one workspace: the arguments behind the command of a row, and what is done before it. */
const RUNS: Readonly<
  Record<string, { readonly args?: (scene: Scene) => readonly string[]; readonly first?: readonly (readonly string[])[] }>
> = {
  init: { args: () => ['../new', '--variant', 'metal', '--arch', 'x86_64', '--store', '../new-public'] },
  'init --dry-run': { args: () => ['../newer', '--variant', 'metal', '--arch', 'x86_64', '--store', '../newer-public'] },
  'key generate': { args: () => ['spare', '--unencrypted'] },
  'key import': { args: () => ['imported', 'imported.pem', '--unencrypted'] },
  'key list': {},
  'key show': { args: () => ['targets'] },
  'key export-public': { args: () => ['targets'] },
  'key check': {},
  'image info': { args: () => ['root.img'] },
  'image extract': { args: () => ['disk.img', '-o', 'extracted'] },
  'image extract --dry-run': { args: () => ['disk.img', '-o', 'extracted', '--force'] },
  'image verity build': { args: () => ['root.img', '-o', 'tree.img'] },
  'image verity verify': { args: () => ['root.img', 'tree.img'] },
  'image verity show': { args: () => ['tree.img'] },
  'release add --dry-run': { args: () => ['1.0.0', ...IMAGES] },
  'release add': { args: () => ['1.0.0', ...IMAGES] },
  sign: {},
  'publish --dry-run': {},
  publish: {},
  status: {},
  next: {},
  explain: { args: () => ['migration-gap'] },
  'release list': {},
  'release show': { args: () => ['1.0.0'] },
  'release lint': {},
  lint: {},
  serve: {},
  verify: { args: ({ url }) => [url, '--root', '1.root.json'] },
  'verify --targets': { args: ({ url }) => [url, '--root', '1.root.json'] },
  'verify --sample': { args: ({ url }) => ['3', url, '--root', '1.root.json'] },
  'bundle create --dry-run': { args: () => ['--root', '1.root.json', '--for', '1.0.0', '-o', '../update.tar'] },
  'bundle create': { args: () => ['--root', '1.root.json', '--for', '1.0.0', '-o', '../update.tar'] },
  'bundle show': { args: () => ['../update.tar', '--root', '1.root.json'] },
  'verify --bundle': { args: () => ['../update.tar', '--root', '1.root.json'] },
  doctor: { args: ({ url }) => [url] },
  download: { args: ({ url, target }) => [url, target, '--root', '1.root.json', '--output', 'downloaded'] },
  'clone --dry-run': { args: ({ url }) => [url, '../copy', '--root', '1.root.json'] },
  clone: { args: ({ url }) => [url, '../copy', '--root', '1.root.json'] },
  'import --dry-run': {
    first: [['init', '../taken', '--variant', 'metal', '--arch', 'x86_64', '--store', '../taken-public']],
    args: ({ url }) => [url, '--root', '1.root.json', '-C', '../taken'],
  },
  import: { args: ({ url }) => [url, '--root', '1.root.json', '-C', '../taken'] },
  'release path': {
    first: [['release', 'add', '1.1.0', ...IMAGES, '--wave-policy', 'default-waves'], ['sign'], ['publish']],
    args: () => ['1.0.0', '1.1.0'],
  },
  'wave show': {},
  'wave simulate': { args: () => ['1.1.0', '--hosts', '100'] },
  'wave pause --dry-run': { args: () => ['1.1.0'] },
  'wave pause': { args: () => ['1.1.0'] },
  'wave resume': { first: [['sign'], ['publish']], args: () => ['1.1.0'] },
  'wave accelerate': { first: [['sign'], ['publish']], args: () => ['1.1.0'] },
  'wave set': { args: () => ['1.1.0', '--policy', 'slow-roll'] },
  'release recall': { first: [['sign'], ['publish']], args: () => ['1.1.0', '--to', '1.0.0'] },
  'release remove': { first: [['sign'], ['publish']], args: () => ['1.1.0'] },
  'wave abort': {
    first: [['sign'], ['publish'], ['release', 'add', '1.2.0', ...IMAGES, '--wave-policy', 'default-waves'], ['sign'], ['publish']],
    args: () => ['1.2.0'],
  },
  refresh: { first: [['sign'], ['publish']] },
  'refresh --dry-run': {},
  'gc --dry-run': {},
  gc: {},
  'gc --why': { args: () => ['root'] },
  'root init': {
    first: [['key', 'generate', 'first', 'second', '--unencrypted', '-C', '../new']],
    args: () => ['-C', '../new', '--root', 'first', '--targets', 'second', '--snapshot', 'second', '--timestamp', 'second'],
  },
  'cache show': {},
  'cache clear --dry-run': {},
  'cache clear': {},
  'draft show': { first: [['release', 'add', '1.3.0', ...IMAGES]] },
  'draft export': { args: () => ['-o', '../one.draft'] },
  'draft merge': { args: () => ['../one.draft', '../one.draft', '-o', '../both.draft'] },
  'draft import': { args: () => ['../both.draft'] },
  'draft cancel': {},
  'delegation add --dry-run': { args: () => ['apps', '--keys', 'root-a,root-b', '--path', 'apps/*'] },
  'delegation add': { args: () => ['apps', '--keys', 'root-a,root-b', '--path', 'apps/*'] },
  'target add': { first: [['sign'], ['publish']], args: () => ['apps/one=root.img', '--role', 'apps'] },
  'target list': { first: [['sign'], ['publish']] },
  'target remove': { args: () => ['apps/one', '--role', 'apps'] },
  'delegation rotate-key': { args: () => ['apps', 'root-b', 'root-c'] },
  'delegation set-threshold': { args: () => ['apps', '2'] },
  'delegation list': {},
  'delegation split': { args: () => ['--bins', '2', '--keys', 'online'] },
  'delegation remove': { args: () => ['apps', '--yes'] },
  'root show': {},
  'root verify': {},
  'root add-key --dry-run': { args: () => ['spare', '--role', 'root'] },
  'root add-key': { args: () => ['spare', '--role', 'root'] },
  'root remove-key': { args: () => ['spare'] },
  'root replace-key': { args: () => ['root-c', 'spare'] },
  'root set-threshold': { args: () => ['root', '3'] },
  'root expire': { args: () => ['in 26 weeks'] },
  'root rotate': { first: [['draft', 'cancel', 'root']], args: () => ['online', 'spare'] },
  'ceremony rehearse': {},
  completion: { args: () => ['bash'] },
  demo: { args: () => ['--dir', '../demo'] },
};

test('every row of the table of machine output is run', () => {
  assert.deepEqual(rows.map(({ command }) => command).toSorted(), Object.keys(RUNS).toSorted());
});

test('every command prints one object with the members that its row names, and ok', async (t) => {
  const { directory, workspace } = await cliWorkspace(t);
  const image = (name: string): string => join(workspace, `${name}.img`);
  await writeDiskOf(image('disk'), { boot: image('boot'), root: image('root'), hash: image('hash') });
  await writeFile(join(workspace, 'imported.pem'), generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }), {
    mode: 0o600,
  });
  for (const [command, { args, first = [] }] of Object.entries(RUNS)) {
    for (const line of first) await outputOf(line, workspace);
    await t.test(`gantry ${command}`, async (one) => {
      const server = await startStaticServer({ directory: join(directory, 'public') }).catch(() => undefined);
      one.after(async () => server?.close());
      const names = await readdir(join(directory, 'public', 'targets')).catch(() => []);
      const target = names.find((name) => name.endsWith('root.ext4.zst'))?.slice(65) ?? '';
      const url = new URL('metal/x86_64', server?.url ?? 'http://127.0.0.1:1').href;
      const output = await outputOf([...command.split(' '), ...(args?.({ workspace, url, target }) ?? [])], workspace);
      const { ok, ...members } = output;
      assert.equal(ok, true);
      const described = rows.find((row) => row.command === command)?.members ?? [];
      const always = described.filter((member) => !member.endsWith('?'));
      const known = described.map((member) => member.replace(/\?$/u, ''));
      assert.deepEqual(
        always.filter((member) => !(member in members)),
        [],
        `it printed ${Object.keys(members).join(', ')}`,
      );
      assert.deepEqual(
        Object.keys(members).filter((member) => !known.includes(member)),
        [],
      );
    });
  }
});

/** What a command prints; a server is stopped as soon as it has said where it is. */
async function outputOf(args: readonly string[], cwd: string): Promise<Readonly<Record<string, unknown>>> {
  const interrupt = (child: ChildProcess): void => {
    child.stdout?.once('data', () => child.kill('SIGINT'));
  };
  const isServer = UNTIL_CTRL_C.includes(args[0] ?? '');
  const { code, stdout, stderr } = await gantry([...args, '--json', '--yes'], { cwd, ...(isServer ? { onStart: interrupt } : {}) });
  assert.ok(code === 0 || isServer, `gantry ${args.join(' ')}: ${code}, ${stderr}`);
  const output: Readonly<Record<string, unknown>> = JSON.parse(stdout);
  return output;
}
