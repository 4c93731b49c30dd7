/** The by-hand path with real ext4 images of real files, two releases of at least 200 MiB, and the tools that release engineers have. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { startStaticServer } from '../../lib/server/static-server.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { gantry } from '../support/cli.ts';
import { requireTool } from '../support/tools.ts';

const runFile = promisify(execFile);
const MIB = 1 << 20;

/** Real files: Node itself, and every package that this project is built with. */
async function makeImages(folder: string, version: string): Promise<readonly string[]> {
  const modules = join(import.meta.dirname, '..', '..', 'node_modules');
  const content = join(folder, `content-${version}`);
  await mkdir(join(content, 'etc'), { recursive: true });
  await runFile('sh', ['-c', 'printf "VERSION_ID=%s\\n" "$2" > "$1/etc/os-release"', 'sh', content, version]);
  await runFile('cp', ['-RL', process.execPath, join(modules, '@typescript'), join(modules, 'typescript'), content]);
  const [root, boot, hash] = [
    join(folder, `root-${version}.img`),
    join(folder, `boot-${version}.img`),
    join(folder, `hash-${version}.img`),
  ];
  await runFile('mke2fs', ['-q', '-t', 'ext4', '-d', content, root, '280M']);
  await runFile('mke2fs', ['-q', '-t', 'ext4', '-d', join(content, 'etc'), boot, '16M']);
  await runFile('veritysetup', ['format', root, hash]);
  await rm(content, { recursive: true });
  assert.ok((await stat(root)).size >= 200 * MIB);
  return ['--boot', boot, '--root', root, '--hash', hash];
}

test('the five-minute path makes, publishes, verifies and downloads two releases of real ext4 images', async (t) => {
  for (const tool of ['mke2fs', 'veritysetup', 'zstd', 'lz4']) if (!requireTool(t, tool)) return;
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, 'work'));
  const workspace = join(directory, 'work', 'my-os');
  const env = { GANTRY_PASSPHRASE: 'a passphrase' };
  const run = async (cwd: string, ...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await gantry(args, { cwd, env });
    assert.equal(code, 0, `gantry ${args.join(' ')}: ${stderr}`);
    return stdout;
  };
  await run(join(directory, 'work'), 'init', 'my-os', '--variant', 'metal', '--arch', 'x86_64', '--store', './public');
  await run(workspace, 'key', 'generate', 'root-a', 'root-b', 'root-c', 'targets', 'online');
  const roles = ['--targets', 'targets', '--snapshot', 'online', '--timestamp', 'online'];
  await run(workspace, 'root', 'init', '--root', 'root-a,root-b,root-c', '--threshold', 'root=2', ...roles);
  await run(workspace, 'sign');
  const store = join(directory, 'work', 'public');
  for (const [version, compression] of [
    ['1.2.0', 'zstd'],
    ['1.3.0', 'both'],
  ] as const) {
    const images = await makeImages(directory, version);
    await run(workspace, 'release', 'add', version, ...images, '--compression', compression);
    await run(workspace, 'sign');
    await run(workspace, 'publish');
  }
  const server = await startStaticServer({ directory: store });
  t.after(async () => server.close());
  const url = new URL('metal/x86_64', server.url).href;
  assert.match(await run(workspace, 'verify', url, '--root', '1.root.json', '--targets'), /Verified: metadata and 16 targets/u);
  // The first release has zstd images alone, which stock hosts cannot install.
  assert.match(await run(workspace, 'lint'), /0 errors, 1 warning\./u);
  const names = (await readdir(join(store, 'targets'))).map((name) => name.slice(65));
  for (const [pattern, tool, version] of [
    [/1\.2\.0-.*root\.ext4\.zst$/u, 'zstd', '1.2.0'],
    [/1\.3\.0-.*root\.ext4\.lz4$/u, 'lz4', '1.3.0'],
  ] as const) {
    const target = names.find((name) => pattern.test(name)) ?? '';
    await run(workspace, 'download', url, '--root', '1.root.json', target, '-o', 'image.compressed');
    await runFile('sh', ['-c', `${tool} -dqc image.compressed | cmp - "$1"`, 'sh', join(directory, `root-${version}.img`)], {
      cwd: workspace,
    });
    await run(workspace, 'download', url, '--root', '1.root.json', target, '--decompress', '-o', 'image.raw');
    await runFile('cmp', ['image.raw', join(directory, `root-${version}.img`)], { cwd: workspace });
  }
});
