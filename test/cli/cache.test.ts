import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { ADD, cliWorkspace, gantry } from '../support/cli.ts';

test('gantry release add says what came out of the cache, cache show lists it, and cache clear forgets it', async (t) => {
  const { workspace } = await cliWorkspace(t);
  const run = async (
    ...args: readonly string[]
  ): Promise<{ readonly text: string; readonly object: Readonly<Record<string, unknown>> }> => {
    const text = await gantry(args, { cwd: workspace });
    const json = await gantry([...args, '--json'], { cwd: workspace });
    assert.deepEqual([text.code, json.code], [0, 0], text.stderr + json.stderr);
    return { text: text.stdout + text.stderr, object: JSON.parse(json.stdout) };
  };
  const empty = await run('cache', 'show');
  assert.match(empty.text, /0 compressed images, 0 B; at most 4\.0 GiB are kept\./u);
  assert.deepEqual([empty.object['images'], empty.object['bytes']], [[], 0]);

  const first = await gantry(ADD, { cwd: workspace });
  assert.doesNotMatch(first.stdout + first.stderr, /cache/u);
  await gantry(['draft', 'cancel', '--yes'], { cwd: workspace });
  const second = await gantry([...ADD, '--json'], { cwd: workspace });
  const [release] = JSON.parse(second.stdout).releases;
  assert.equal(release.reused.length, 3);
  await gantry(['draft', 'cancel', '--yes'], { cwd: workspace });
  const third = await gantry(ADD, { cwd: workspace });
  assert.match(third.stdout + third.stderr, /3 compressed images came out of the cache/u);

  const full = await run('cache', 'show');
  assert.equal((full.object['images'] as readonly unknown[]).length, 3);
  assert.match(full.text, /zst-l3-/u);
  const dry = await run('cache', 'clear', '--dry-run');
  assert.match(dry.text, /Would remove 3 compressed images/u);
  assert.equal(dry.object['dryRun'], true);
  const cleared = await gantry(['cache', 'clear'], { cwd: workspace });
  assert.match(cleared.stdout + cleared.stderr, /Removed 3 compressed images/u);
  assert.deepEqual(await readdir(join(workspace, '.gantry', 'cache')), []);
  assert.equal((await gantry(['sign'], { cwd: workspace })).code, 0);
  assert.equal((await gantry(['publish', '--yes'], { cwd: workspace })).code, 0, 'what waits for publication is not the cache’s');
});

test('gantry cache show says what to do when it is run outside of a workspace', async (t) => {
  const { directory } = await cliWorkspace(t);
  const { code, stderr } = await gantry(['cache', 'show'], { cwd: directory });
  assert.equal(code, 3);
  assert.match(stderr, /error: Cannot open a workspace[^\n]*\nhint: /u);
});
