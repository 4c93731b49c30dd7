/** Trees of real file systems, ours and the one of veritysetup: the same bytes, and each accepts and refuses what the other does. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { gantry } from '../support/cli.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { requireTool } from '../support/tools.ts';
import { SALT, UUID } from '../support/verity.ts';

const runFile = promisify(execFile);
const CONTENT = join(import.meta.dirname, '..', '..', 'node_modules', 'zod');

/** What makes an image, and how it is called. */
const FILE_SYSTEMS: Readonly<Record<string, readonly [tool: string, args: (image: string) => readonly string[]]>> = {
  ext4: ['mke2fs', (image) => ['-q', '-t', 'ext4', '-d', CONTENT, image, '96M']],
  squashfs: ['mksquashfs', (image) => [CONTENT, image, '-quiet', '-no-progress', '-comp', 'zstd']],
  EROFS: ['mkfs.erofs', (image) => ['--quiet', image, CONTENT]],
};

for (const [name, [tool, args]] of Object.entries(FILE_SYSTEMS)) {
  describe(`dm-verity of ${name}`, () => {
    const cleanups: (() => Promise<void>)[] = [];
    let directory = '';
    before(async () => {
      directory = await temporaryDirectory({ after: (work) => cleanups.push(work) });
    });
    after(async () => {
      for (const cleanup of cleanups) await cleanup();
    });
    const json = async (...command: readonly string[]): Promise<Record<string, unknown>> => {
      const { code, stdout, stderr } = await gantry(['image', 'verity', ...command, '--json'], { cwd: directory });
      assert.equal(code, 0, stderr);
      return JSON.parse(stdout) as Record<string, unknown>;
    };
    const at = (file: string): string => join(directory, file);

    test('gantry builds what veritysetup formats, and each verifies what the other made', async (t) => {
      for (const one of [tool, 'veritysetup']) if (!requireTool(t, one)) return;
      await runFile(tool, args(at('root.img')));
      const salt = SALT.toString('hex');
      const { stdout } = await runFile('veritysetup', ['format', at('root.img'), at('theirs'), '--salt', salt, '--uuid', UUID]);
      const { rootHash } = await json('build', 'root.img', '-o', 'ours', '--salt', salt, '--uuid', UUID);
      assert.equal(rootHash, /Root hash:\s+([0-9a-f]{64})/u.exec(stdout)?.[1]);
      assert.ok((await readFile(at('ours'))).equals(await readFile(at('theirs'))), 'the hash images differ');
      await json('build', 'root.img', '-o', 'named', '--salt-from', `my-os/${name}/x86_64`);
      const named = await json('show', 'named');
      await runFile('veritysetup', ['verify', at('root.img'), at('named'), String(named['rootHash'])]);
      await runFile('veritysetup', ['format', at('root.img'), at('random')]);
      await json('verify', 'root.img', 'random');
    });

    test('gantry shows what veritysetup dumps', async (t) => {
      if (!requireTool(t, 'veritysetup') || !requireTool(t, tool)) return;
      const { stdout } = await runFile('veritysetup', ['dump', at('named')]);
      const dumped = (member: string): string | undefined => new RegExp(`^${member}:\\s+(\\S+)`, 'mu').exec(stdout)?.[1];
      const { salt, uuid, dataBlocks, dataBytes } = await json('show', 'named');
      assert.deepEqual([dumped('Salt'), dumped('UUID'), Number(dumped('Data blocks'))], [salt, uuid, dataBlocks]);
      assert.equal(dataBytes, (await stat(at('root.img'))).size);
    });

    test('gantry and veritysetup refuse an image of which one byte changed', async (t) => {
      if (!requireTool(t, 'veritysetup') || !requireTool(t, tool)) return;
      const { rootHash, dataBlocks } = await json('show', 'ours');
      const block = Math.floor(Number(dataBlocks) / 3);
      const file = await open(at('root.img'), 'r+');
      const byte = Buffer.alloc(1);
      await file.read(byte, 0, 1, block * 4096 + 99);
      await file.write(Buffer.from([byte.readUInt8() ^ 1]), 0, 1, block * 4096 + 99);
      await file.close();
      await assert.rejects(runFile('veritysetup', ['verify', at('root.img'), at('ours'), String(rootHash)]));
      const { code, stderr } = await gantry(['image', 'verity', 'verify', 'root.img', 'ours'], { cwd: directory });
      assert.equal(code, 3);
      assert.match(stderr, new RegExp(`block ${block} of the data`, 'u'));
    });
  });
}
