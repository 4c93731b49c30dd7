/** The chart that the README and docs/rollouts.md show is the one that the command draws; from a whole second on it is always the same. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { cliWorkspace, gantry } from '../support/cli.ts';

test('README.md and docs/rollouts.md show the chart of gantry wave simulate as it is drawn', async (t) => {
  const { workspace } = await cliWorkspace(t);
  const simulate = [
    'wave',
    'simulate',
    '--policy',
    'default-waves',
    '--poll',
    '2 hours',
    '--download-size',
    '240MB',
    '--start',
    '2099-01-05T09:00:00Z',
  ];
  const { code, stdout, stderr } = await gantry(simulate, { cwd: workspace });
  assert.equal(code, 0, stderr);
  const drawn = stdout.replaceAll(/ +$/gmu, '');
  for (const file of ['README.md', 'docs/rollouts.md']) {
    const text = await readFile(new URL(`../../${file}`, import.meta.url), 'utf8');
    const excerpts = [...text.matchAll(/^```text\n(default-waves [\s\S]*?)^```$/gmu)].map(([, excerpt = '']) => excerpt);
    assert.equal(excerpts.length, 1, file);
    for (const excerpt of excerpts) assert.equal(drawn.slice(0, excerpt.length), excerpt);
  }
});
