import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters, styleText } from 'node:util';
import { table } from '../../../cli/ui/table.ts';

const DIGEST = 'ab'.repeat(32);

test('table() lines up its columns and cuts nothing when a cell is a digest', () => {
  const lines = table(
    [
      ['boot', '1.0 MiB', DIGEST],
      ['manifest.json', '512 B', 'none'],
    ],
    { head: ['target', 'size', 'sha256'], right: [1] },
  );
  assert.deepEqual(lines.map(stripVTControlCharacters), [
    'target            size  sha256',
    `boot           1.0 MiB  ${DIGEST}`,
    'manifest.json    512 B  none',
  ]);
});

test('table() measures what is seen when a cell is coloured', () => {
  const green = styleText('green', 'ok', { validateStream: false });
  const [, first, second] = table(
    [
      [green, 'x'],
      ['fine', 'y'],
    ],
    { head: ['', ''] },
  );
  assert.equal(first, `${green}    x`);
  assert.equal(second, 'fine  y');
});
