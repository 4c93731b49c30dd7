/** Many processes, one store. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createDirectoryStore } from '../../lib/store/directory.ts';
import { parseStorePath } from '../../lib/store/path.ts';
import { bytesSource } from '../../lib/store/source.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { collect } from '../support/simulator.ts';

type Child = ChildProcessByStdio<Writable, Readable, null>;

const PATH = parseStorePath('metal/x86_64/timestamp.json');
const module = (path: string): string => JSON.stringify(new URL(`../../lib/${path}`, import.meta.url).href);
const PRELUDE = `
  import { createDirectoryStore } from ${module('store/directory.ts')};
  import { bytesSource } from ${module('store/source.ts')};
  const [root, name, expected] = process.argv.slice(1);
  const store = createDirectoryStore(root);
  const options = { expect: expected === 'absent' ? expected : { version: expected }, cacheClass: 'revalidate', contentType: 'text/plain' };
`;

function start(t: TestContext, code: string, args: readonly string[]): Child {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PRELUDE + code, '--', ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

async function outputOf(child: Child): Promise<string> {
  let text = '';
  for await (const chunk of child.stdout) text += String(chunk);
  return text;
}

/** Each waits for the line that starts all of them, and prints what came of its write. */
const WRITER = `
  process.stdout.write('ready ');
  await new Promise((resolve) => process.stdin.once('data', resolve));
  process.stdin.destroy();
  try {
    await store.write(${JSON.stringify(PATH)}, bytesSource(Buffer.from(name)), options);
    process.stdout.write('won');
  } catch (error) {
    process.stdout.write(error.code ?? String(error));
  }
`;

async function race(t: TestContext, root: string, expected: string, names: readonly string[]): Promise<readonly string[]> {
  const children = names.map((name) => start(t, WRITER, [root, name, expected]));
  await Promise.all(children.map(async ({ stdout }) => once(stdout, 'readable')));
  const outputs = children.map(outputOf);
  for (const { stdin } of children) stdin.write('go\n');
  return (await Promise.all(outputs)).map((output) => output.replace('ready ', ''));
}

test('write() lets exactly one win when several processes make or replace the same object', async (t) => {
  const root = join(await temporaryDirectory(t), 'public');
  const store = createDirectoryStore(root);
  let expected = 'absent';
  for (const round of ['first', 'second']) {
    const names = ['a', 'b', 'c', 'd'].map((name) => `${round} ${name}`);
    const outcomes = await race(t, root, expected, names);
    assert.deepEqual(outcomes.toSorted(), ['store/conflict', 'store/conflict', 'store/conflict', 'won']);
    const { info, body } = await store.read(PATH);
    assert.equal((await collect(body)).toString(), names[outcomes.indexOf('won')]);
    expected = info.version;
  }
  assert.deepEqual(await readdir(join(root, '.gantry', 'uploads')), []);
});

test('write() works and nothing half-written is visible when another process was killed in mid-upload', async (t) => {
  const root = join(await temporaryDirectory(t), 'public');
  const code = `
    await store.write(${JSON.stringify(PATH)}, { lengthBytes: 8, sha256: '0'.repeat(64), async *open() {
      yield Buffer.from('half');
      process.stdout.write('half');
      await new Promise((resolve) => setTimeout(resolve, 60_000));
    } }, options);`;
  const child = start(t, code, [root, 'x', 'absent']);
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const store = createDirectoryStore(root);
  assert.equal(await store.head(PATH), undefined);
  for await (const { path } of store.list('')) assert.fail(`${path} is listed`);
  assert.equal((await readdir(join(root, '.gantry', 'uploads'))).length, 1);
  await store.write(PATH, bytesSource(Buffer.from('whole')), { expect: 'absent', cacheClass: 'revalidate', contentType: 'text/plain' });
  assert.equal((await collect((await store.read(PATH)).body)).toString(), 'whole');
});
