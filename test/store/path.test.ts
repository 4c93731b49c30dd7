import assert from 'node:assert/strict';
import { test } from 'node:test';
import { metadataPath, targetPath } from '../../lib/store/layout.ts';
import { joinStorePath, parseStorePath } from '../../lib/store/path.ts';

test('parseStorePath() throws store/bad-path when a server or a file system could read it differently', () => {
  const bad = [
    '',
    '/',
    '/a',
    'a/',
    'a//b',
    '.',
    '..',
    'a/../b',
    '.gantry/lock',
    'a/.b',
    'a b',
    'a\\b',
    'a\0b',
    'a%2fb',
    'é',
    'a\n',
    'x'.repeat(256),
    'a/'.repeat(520) + 'a',
  ];
  for (const text of bad) {
    assert.throws(() => parseStorePath(text), { code: 'store/bad-path', details: { path: text } }, JSON.stringify(text));
  }
  assert.throws(() => joinStorePath('a', '../b'), { code: 'store/bad-path' });
});

test('parseStorePath() gives the text back when it is portable', () => {
  for (const text of ['a', 'metal/x86_64/1.root.json', 'targets/0a.my-os-1.0.0+build_1.img', '-', 'x'.repeat(255)])
    assert.equal(parseStorePath(text), text);
  assert.equal(metadataPath('metal', 'x86_64', 'timestamp.json'), 'metal/x86_64/timestamp.json');
  assert.equal(targetPath('sub/0a.x'), 'targets/sub/0a.x');
});
