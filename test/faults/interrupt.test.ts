/** Ctrl-C and kill -9 anywhere: nothing half-written, and a second run works. */
import assert from 'node:assert/strict';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { startStaticServer } from '../../lib/server/static-server.ts';
import { ADD, cliWorkspace, gantry, type CliResult } from '../support/cli.ts';
import { writeImages } from '../support/engineer.ts';

/** Spread over a run of about a second on a slow machine; later ones find it finished, which is fine. */
const MOMENTS_MS = [150, 300, 450, 700];

async function interrupted(args: readonly string[], cwd: string, afterMs: number, signal: NodeJS.Signals): Promise<CliResult> {
  return gantry(args, {
    cwd,
    onStart: (child) => {
      void delay(afterMs).then(() => child.kill(signal));
    },
  });
}

async function bigImages(t: TestContext): Promise<{ readonly directory: string; readonly workspace: string }> {
  const made = await cliWorkspace(t);
  await writeImages(made.workspace, { rootBytes: 96 << 20 });
  return made;
}

function assertStopped({ code, stderr }: CliResult): void {
  if (code === 0) return;
  assert.ok(code === 130 || code === null, `exit code ${code}: ${stderr}`);
  if (code === 130 && stderr !== '') assert.match(stderr, /interrupted|cancelled/u);
}

for (const signal of ['SIGINT', 'SIGKILL'] as const) {
  test(`gantry release add and publish survive ${signal} at any moment`, async (t) => {
    const { directory, workspace } = await bigImages(t);
    for (const moment of MOMENTS_MS) {
      assertStopped(await interrupted(ADD, workspace, moment, signal));
      const drafts = await readdir(join(workspace, 'drafts', 'metal')).catch(() => []);
      if (drafts.length > 0) break;
    }
    const added = await gantry(ADD, { cwd: workspace });
    assert.ok(added.code === 0 || /already|1\.0\.0/u.test(added.stderr), added.stderr);
    assert.equal((await gantry(['sign'], { cwd: workspace })).code, 0);
    const timestamp = join(directory, 'public', 'metal', 'x86_64', 'timestamp.json');
    for (const moment of MOMENTS_MS) {
      assertStopped(await interrupted(['publish'], workspace, moment, signal));
      if ((await stat(timestamp).catch(() => undefined)) !== undefined) break;
    }
    const published = await gantry(['publish'], { cwd: workspace });
    assert.equal(published.code, 0, published.stderr);
    const server = await startStaticServer({ directory: join(directory, 'public') });
    t.after(async () => server.close());
    const verified = await gantry(['verify', new URL('metal/x86_64', server.url).href, '--root', '1.root.json', '--targets'], {
      cwd: workspace,
    });
    assert.equal(verified.code, 0, verified.stderr);
    const leftovers = (await readdir(join(directory, 'public'), { recursive: true })).filter(
      (name) => !name.startsWith('.gantry') && name.endsWith('.tmp'),
    );
    assert.deepEqual(leftovers, []);
  });
}

test('gantry download leaves an existing file alone when it is interrupted', async (t) => {
  const { directory, workspace } = await bigImages(t);
  for (const command of [ADD, ['sign'], ['publish']]) assert.equal((await gantry(command, { cwd: workspace })).code, 0);
  const server = await startStaticServer({ directory: join(directory, 'public') });
  t.after(async () => server.close());
  const [published = ''] = (await readdir(join(directory, 'public', 'targets'))).filter((name) => name.endsWith('root.ext4.zst'));
  const target = published.slice(65);
  const file = join(workspace, 'out.zst');
  await writeFile(file, 'what was there before');
  const download = ['download', new URL('metal/x86_64', server.url).href, '--root', '1.root.json', target, '-o', 'out.zst'];
  for (const moment of [200, 300, 400]) {
    const result = await interrupted(download, workspace, moment, 'SIGINT');
    assertStopped(result);
    if (result.code === 0) break;
    assert.equal(await readFile(file, 'utf8'), 'what was there before');
    assert.deepEqual(
      (await readdir(workspace)).filter((name) => name.endsWith('.tmp')),
      [],
    );
  }
  assert.equal((await gantry(download, { cwd: workspace })).code, 0);
  assert.equal((await stat(file)).size, (await stat(join(directory, 'public', 'targets', published))).size);
});
