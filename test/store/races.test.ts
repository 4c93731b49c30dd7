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
import { temporaryDirectory } from '../support/engineer.ts';
import { collect } from '../support/bytes.ts';

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

/** Each waits for the line that starts all of them, writes several at once, and prints what came of each. */
const WRITER = `
  process.stdout.write('ready ');
  await new Promise((resolve) => process.stdin.once('data', resolve));
  process.stdin.destroy();
  const outcomes = await Promise.all(JSON.parse(name).map(async (text) => {
    try {
      await store.write(${JSON.stringify(PATH)}, bytesSource(Buffer.from(text)), options);
      return 'won';
    } catch (error) {
      return error.code ?? String(error);
    }
  }));
  process.stdout.write(JSON.stringify(outcomes));
`;

/** @param texts what each process writes */
async function race(t: TestContext, root: string, expected: string, texts: readonly (readonly string[])[]): Promise<readonly string[]> {
  const children = texts.map((own) => start(t, WRITER, [root, JSON.stringify(own), expected]));
  await Promise.all(children.map(async ({ stdout }) => once(stdout, 'readable')));
  const outputs = children.map(outputOf);
  for (const { stdin } of children) stdin.write('go\n');
  return (await Promise.all(outputs)).flatMap((output) => JSON.parse(output.replace('ready ', '')) as readonly string[]);
}

test('write() lets exactly one win when several processes make or replace the same object', async (t) => {
  const root = join(await temporaryDirectory(t), 'public');
  const store = createDirectoryStore(root);
  let expected = 'absent';
  for (const round of ['first', 'second']) {
    const texts = ['a', 'b', 'c'].map((process) => [1, 2, 3, 4].map((writer) => `${round} ${process}${writer}`));
    const outcomes = await race(t, root, expected, texts);
    assert.deepEqual(outcomes.toSorted(), [...Array.from({ length: 11 }, () => 'store/conflict'), 'won']);
    const { info, body } = await store.read(PATH);
    assert.equal((await collect(body)).toString(), texts.flat()[outcomes.indexOf('won')]);
    expected = info.version;
  }
  assert.deepEqual(await readdir(join(root, '.gantry', 'uploads')), []);
});
