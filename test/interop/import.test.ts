/** A repository that real tuftool makes, taken over by `gantry import`, continued, and read by tuftool again and by the other clients. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { startStaticServer } from '../../lib/server/static-server.ts';
import { ADD, gantry } from '../support/cli.ts';
import { temporaryDirectory, writeImages } from '../support/engineer.ts';
import { PEER_NAMES, readWithPeer, skipReason, tuftool } from '../support/peers.ts';

const run = promisify(execFile);
const skip = await skipReason('tuftool');

interface Made {
  readonly folder: string;
  readonly tool: (...args: readonly string[]) => Promise<void>;
  /** Seconds since 1970, as pubsys counts. */
  readonly version: number;
}

/** RSA keys as `tuftool root gen-rsa-key` makes them, versions as pubsys gives them, targets as links. */
async function made(t: TestContext): Promise<Made> {
  const program = await tuftool();
  const folder = await temporaryDirectory(t);
  const tool = async (...args: readonly string[]): Promise<void> => void (await run(program, args, { cwd: folder }));
  await mkdir(join(folder, 'in'));
  await writeFile(join(folder, 'in', 'notes.txt'), 'from before');
  await tool('root', 'init', 'root.json');
  await tool('root', 'expire', 'root.json', 'in 52 weeks');
  for (const role of ['root', 'targets', 'snapshot', 'timestamp']) await tool('root', 'set-threshold', 'root.json', role, '1');
  await tool('root', 'gen-rsa-key', 'root.json', 'root.pem', '--role', 'root');
  await tool(
    'root',
    'gen-rsa-key',
    'root.json',
    'publish.pem',
    ...['targets', 'snapshot', 'timestamp'].flatMap((role) => ['--role', role]),
  );
  await tool('root', 'sign', 'root.json', '-k', 'root.pem');
  const version = Math.floor(Date.now() / 1000);
  const roles = ['targets', 'snapshot', 'timestamp'].flatMap((role) => [
    `--${role}-expires`,
    'in 2 weeks',
    `--${role}-version`,
    String(version),
  ]);
  await tool('create', '-k', 'publish.pem', '-o', 'repo', '-r', 'root.json', '-t', 'in', ...roles);
  for (const key of ['root.pem', 'publish.pem']) await chmod(join(folder, key), 0o600);
  return { folder, tool, version };
}

async function typed(cwd: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await gantry(args, { cwd });
  assert.equal(code, 0, `gantry ${args.join(' ')}: ${stderr}`);
  return stdout;
}

test(
  'what tuftool made is imported, continued without a gap, and read by every client and by tuftool from its first root',
  { skip },
  async (t) => {
    const { folder, tool, version } = await made(t);
    await typed(folder, 'init', 'my-os', '--variant', 'metal', '--arch', 'x86_64', '--store', 'public');
    const workspace = join(folder, 'my-os');
    const place = [
      '../repo/metadata',
      '--targets-url',
      '../repo/targets',
      '--root',
      '../root.json',
      '--variant',
      'metal',
      '--arch',
      'x86_64',
    ];
    assert.match(await typed(workspace, 'import', ...place), new RegExp(`at timestamp ${version}, root 1, with 1 target`, 'u'));
    await typed(workspace, 'key', 'import', 'root', '../root.pem', '--unencrypted');
    await typed(workspace, 'key', 'import', 'targets-online', '../publish.pem', '--unencrypted');
    assert.match(
      await typed(workspace, 'key', 'list'),
      /root +rsa +[0-9a-f]{12} +at hand[\s\S]*targets-online +rsa +[0-9a-f]{12} +at hand/u,
    );
    await writeImages(workspace);
    await typed(workspace, ...ADD);
    await typed(workspace, 'sign');
    await typed(workspace, 'publish');
    await typed(workspace, 'root', 'expire', 'in 40 weeks');
    await typed(workspace, 'sign');
    await typed(workspace, 'publish', '--yes');
    const server = await startStaticServer({ directory: join(folder, 'public') });
    t.after(async () => server.close());
    const urls = { metadataUrl: new URL('metal/x86_64/', server.url), targetsUrl: new URL('targets/', server.url) };
    for (const peer of PEER_NAMES) {
      const out = join(folder, `out-${peer}`);
      await mkdir(out);
      const read = await readWithPeer(peer, { rootFile: join(folder, 'root.json'), ...urls, out });
      assert.deepEqual([read.root, read.targets, read.timestamp], [2, version + 1, version + 1], peer);
      assert.equal(await readFile(join(out, 'notes.txt'), 'utf8'), 'from before');
    }
    await tool('download', '--root', 'root.json', '-m', urls.metadataUrl.href, '-t', urls.targetsUrl.href, 'downloaded');
    assert.ok((await readdir(join(folder, 'downloaded'))).includes('manifest.json'));
  },
);

test('tuftool goes on with what gantry signed', { skip }, async (t) => {
  const { folder, tool, version } = await made(t);
  await typed(folder, 'init', 'my-os', '--variant', 'metal', '--arch', 'x86_64', '--store', 'public');
  const workspace = join(folder, 'my-os');
  await typed(
    workspace,
    'import',
    '../repo/metadata',
    '--targets-url',
    '../repo/targets',
    '--root',
    '../root.json',
    '--variant',
    'metal',
    '--arch',
    'x86_64',
  );
  await typed(workspace, 'key', 'import', 'targets-online', '../publish.pem', '--unencrypted');
  await typed(workspace, 'refresh', '--all');
  await typed(workspace, 'sign');
  await typed(workspace, 'publish');
  const roles = ['targets', 'snapshot', 'timestamp'].flatMap((role) => [
    `--${role}-expires`,
    'in 2 weeks',
    `--${role}-version`,
    String(version + 9),
  ]);
  const at = `file://${join(folder, 'public', 'metal', 'x86_64')}`;
  await tool('update', '-k', 'publish.pem', '-o', 'again', '-r', 'root.json', '--metadata-url', at, '-t', 'in', ...roles);
  const next = JSON.parse(await readFile(join(folder, 'again', 'metadata', 'timestamp.json'), 'utf8')) as {
    readonly signed: { readonly version: number };
  };
  assert.equal(next.signed.version, version + 9);
});
