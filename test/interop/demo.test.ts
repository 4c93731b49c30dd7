/** The demo's repository, after both releases and a key rotation, as every client reads it: each target downloaded and compared. */
import assert from 'node:assert/strict';
import { mkdir, readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { startStaticServer, type StaticServer } from '../../lib/server/static-server.ts';
import { gantry } from '../support/cli.ts';
import { PEER_NAMES, readWithPeer, skipReason } from '../support/peers.ts';
import { requireTool } from '../support/tools.ts';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const runFile = promisify(execFile);
const ARCH = process.arch === 'arm64' ? 'aarch64' : 'x86_64';

let directory: string;
let server: StaticServer;
/** Published bytes by target name. */
const published = new Map<string, Buffer>();

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'gantry-demo-'));
  const { code, stdout, stderr } = await gantry(['demo', '--json', '--dir', 'demo'], { cwd: directory });
  assert.equal(code, 0, stdout + stderr);
  server = await startStaticServer({ directory: join(directory, 'demo', 'public') });
  const targets = join(directory, 'demo', 'public', 'targets');
  for (const name of await readdir(targets)) published.set(name.slice(65), await readFile(join(targets, name)));
});

after(async () => {
  await server.close();
  await rm(directory, { recursive: true, force: true });
});

describe('the repository of the demo', () => {
  for (const peer of PEER_NAMES) {
    test(`${peer} follows the root chain and downloads every target of both releases`, { skip: false }, async (t) => {
      const reason = await skipReason(peer);
      if (reason !== false) {
        t.skip(reason);
        return;
      }
      const out = join(directory, `out-${peer}`);
      await mkdir(out);
      const report = await readWithPeer(peer, {
        rootFile: join(directory, 'demo', 'demo-os', '1.root.json'),
        metadataUrl: new URL(`demo/${ARCH}/`, server.url),
        targetsUrl: new URL('targets/', server.url),
        out,
      });
      assert.equal(report.root, 3);
      // Two releases of three images with their frame tables, and the newest manifest.
      assert.equal(report.downloaded.length, 13);
      for (const name of report.downloaded) {
        if (name === 'manifest.json') continue;
        assert.ok((await readFile(join(out, name))).equals(published.get(name) ?? Buffer.alloc(0)), name);
      }
    });
  }

  test('both root images have at least 64 MiB of whole blocks', async () => {
    for (const version of ['1.0.0', '1.1.0']) {
      const { size } = await stat(join(directory, 'demo', 'images', version, 'root.img'));
      assert.ok(size >= 64 << 20 && size % 4096 === 0, `${size} bytes`);
    }
  });

  test('every image that a foreign client downloads is an ordinary .zst of the image that went in', async (t) => {
    if (!requireTool(t, 'zstd')) return;
    const images = [...published.keys()].filter((name) => name.endsWith('.zst'));
    assert.equal(images.length, 6);
    for (const name of images) {
      const [, version = '', kind = ''] = /-(1\.[01]\.0)-[0-9a-f]{8}-(boot\.ext4|root\.ext4|root\.verity)\.zst$/u.exec(name) ?? [];
      const image = { 'boot.ext4': 'boot.img', 'root.ext4': 'root.img', 'root.verity': 'hash.img' }[kind] ?? '';
      const target = (await readdir(join(directory, 'demo', 'public', 'targets'))).find((file) => file.endsWith(name)) ?? '';
      await runFile('sh', [
        '-c',
        'zstd -dqc "$1" | cmp - "$2"',
        'sh',
        join(directory, 'demo', 'public', 'targets', target),
        join(directory, 'demo', 'images', version, image),
      ]);
    }
  });
});
