import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { PASSPHRASE, passphraseFrom } from '../../lib/keys/passphrase.ts';
import { temporaryDirectory } from '../support/engineer.ts';

const run = promisify(execFile);
const MODULE = new URL('../../lib/keys/passphrase.ts', import.meta.url).href;

async function secretFile(t: TestContext, content: string | Uint8Array): Promise<string> {
  const path = join(await temporaryDirectory(t), 'passphrase');
  await writeFile(path, content, { mode: 0o600 });
  return path;
}

async function never(): Promise<string> {
  throw new Error('nobody may be asked');
}

test('passphraseFrom() takes the file before the descriptor, the descriptor before the environment, and asks a person last', async (t) => {
  const path = await secretFile(t, 'from file\n');
  const other = await secretFile(t, 'from descriptor\n');
  await using descriptor = await open(other, 'r');
  const env = { [PASSPHRASE.variable]: 'from environment' };
  const sources = { file: path, fd: descriptor.fd, prompt: async (): Promise<string> => 'from person' };
  assert.equal(await passphraseFrom({ ...sources, env: { ...env } }).ask('k.pem', 0), 'from file');
  assert.equal(await passphraseFrom({ ...sources, file: undefined, env: { ...env } }).ask('k.pem', 0), 'from descriptor');
  assert.equal(await passphraseFrom({ ...sources, file: undefined, fd: undefined, env: { ...env } }).ask('k.pem', 0), 'from environment');
  assert.equal(await passphraseFrom({ ...sources, file: undefined, fd: undefined, env: {} }).ask('k.pem', 0), 'from person');
});

test('passphraseFrom() removes GANTRY_PASSPHRASE from the environment, whichever source counts', async (t) => {
  for (const file of [undefined, await secretFile(t, 'from file')]) {
    const env: Record<string, string | undefined> = { [PASSPHRASE.variable]: 'secret', PATH: '/bin' };
    passphraseFrom({ file, env });
    assert.deepEqual(env, { PATH: '/bin' });
  }
});

test('passphraseFrom() removes GANTRY_PASSPHRASE from the process, so that a child does not see it', async () => {
  const script = `
    import { execFileSync } from 'node:child_process';
    import { passphraseFrom } from ${JSON.stringify(MODULE)};
    const source = passphraseFrom({ env: process.env });
    console.log(await source.ask('k.pem', 0), execFileSync(process.execPath, ['-p', 'String(process.env.GANTRY_PASSPHRASE)']).toString().trim());`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, [PASSPHRASE.variable]: 'secret' },
  });
  assert.equal(stdout, 'secret undefined\n');
});

const LINES: readonly (readonly [what: string, content: string | Uint8Array, expected: string])[] = [
  ['a line with spaces', ' pass word \n', ' pass word '],
  ['no end of line', 'pass', 'pass'],
  ['a Windows end of line', 'pass\r\n', 'pass'],
  ['more lines', 'pass\nnotes\nmore', 'pass'],
  ['text beyond ASCII', 'Gänsefüßchen 🪿\n', 'Gänsefüßchen 🪿'],
];
for (const [what, content, expected] of LINES) {
  test(`passphraseFrom() takes the first line of a file when it has ${what}`, async (t) => {
    assert.equal(await passphraseFrom({ file: await secretFile(t, content), env: {} }).ask('k.pem', 0), expected);
  });
}

const USELESS: readonly (readonly [what: string, content: string | Uint8Array, message: RegExp])[] = [
  ['nothing in it', '', /empty/u],
  ['an empty first line', '\nsecret\n', /empty/u],
  ['more than openssl reads', `${'secret'.repeat(200)}\n`, /1200 bytes; expected at most 1024/u],
  ['no end', 'secret'.repeat(2000), /more than 4096 bytes/u],
  ['no UTF-8', Buffer.from([0x73, 0xff, 0xfe, 0x0a]), /not UTF-8/u],
];
for (const [what, content, message] of USELESS) {
  test(`passphraseFrom() refuses a file, and asks nobody else, when it has ${what}`, async (t) => {
    const source = passphraseFrom({ file: await secretFile(t, content), env: { [PASSPHRASE.variable]: 'other' }, prompt: never });
    await assert.rejects(source.ask('k.pem', 0), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'keys/passphrase-needed');
      assert.match(error.message, message);
      assert.doesNotMatch(error.message, /secret|other|\n/u);
      return true;
    });
  });
}

test('passphraseFrom() refuses a file that others can read, unread', async (t) => {
  const path = await secretFile(t, 'secret\n');
  await chmod(path, 0o640);
  await assert.rejects(passphraseFrom({ file: path, env: {}, prompt: never }).ask('k.pem', 0), {
    code: 'files/exposed',
    details: { path, mode: '640' },
    message: /expected 600/u,
  });
});

test('passphraseFrom() says which file is missing, and asks nobody else', async (t) => {
  const path = join(await temporaryDirectory(t), 'none');
  const source = passphraseFrom({ file: path, env: { [PASSPHRASE.variable]: 'other' }, prompt: never });
  await assert.rejects(source.ask('k.pem', 0), { code: 'files/missing', details: { path } });
});

test('passphraseFrom() says files/not-readable when the descriptor is not open', async () => {
  await assert.rejects(passphraseFrom({ fd: 987, env: {}, prompt: never }).ask('k.pem', 0), {
    code: 'files/not-readable',
    details: { path: 'descriptor 987' },
  });
});

test('passphraseFrom() reads a file once for every key of a batch', async (t) => {
  const path = await secretFile(t, 'first\n');
  const source = passphraseFrom({ file: path, env: {} });
  assert.equal(source.tries, 1);
  assert.equal(await source.ask('a.pem', 0), 'first');
  await writeFile(path, 'second\n');
  assert.equal(await source.ask('b.pem', 0), 'first');
});

test('passphraseFrom() refuses an empty GANTRY_PASSPHRASE instead of asking', async () => {
  const source = passphraseFrom({ env: { [PASSPHRASE.variable]: '' }, prompt: never });
  await assert.rejects(source.ask('k.pem', 0), { code: 'keys/passphrase-needed', message: /empty/u });
});

test('passphraseFrom() says keys/passphrase-needed when there is no source and nobody to ask', async () => {
  const source = passphraseFrom({ env: {} });
  assert.equal(source.tries, 1);
  await assert.rejects(source.ask('k.pem', 0), { code: 'keys/passphrase-needed', details: { path: 'k.pem' } });
});

test('passphraseFrom() tells a person the key and how often it was tried, and takes no empty answer', async () => {
  const asked: [string, number][] = [];
  const prompt = async (path: string, attempt: number): Promise<string> => {
    asked.push([path, attempt]);
    return attempt === 0 ? 'answer' : '';
  };
  const source = passphraseFrom({ env: {}, prompt });
  assert.equal(source.tries, 3);
  assert.equal(await source.ask('a.pem', 0), 'answer');
  await assert.rejects(source.ask('a.pem', 1), { code: 'keys/passphrase-needed', message: /empty/u });
  assert.deepEqual(asked, [
    ['a.pem', 0],
    ['a.pem', 1],
  ]);
});

const ASK_DESCRIPTOR = `
  import { passphraseFrom } from ${JSON.stringify(MODULE)};
  process.on('SIGINT', () => process.exit(130));
  // Late, so that the read has begun.
  setTimeout(() => console.log('waiting'), 100).unref();
  console.log(await passphraseFrom({ fd: 3, env: {} }).ask('k.pem', 0));`;

test('passphraseFrom() reads the first line of a pipe without waiting for its end', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', ASK_DESCRIPTOR], { stdio: ['ignore', 'pipe', 'inherit', 'pipe'] });
  const pipe = child.stdio[3];
  assert.ok(pipe !== null && pipe !== undefined && 'write' in pipe);
  pipe.write('through a pi');
  pipe.write('pe\nand more');
  const { stdout } = child;
  assert.ok(stdout !== null);
  assert.equal((await stdout.setEncoding('utf8').toArray()).join(''), 'through a pipe\n');
  pipe.destroy();
});

test('passphraseFrom() does not keep a process from ending on Ctrl-C when nothing comes out of a pipe', async () => {
  // `sleep` holds the other end open without writing, as a forgotten shell would.
  const script = `exec 3< <(exec sleep 60); echo "$!"; exec "$0" --input-type=module -e "$1"`;
  const child = spawn('bash', ['-c', script, process.execPath, ASK_DESCRIPTOR], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    output += String(chunk);
    if (output.includes('waiting')) break;
  }
  child.kill('SIGINT');
  const [code] = (await once(child, 'exit')) as [number | null];
  process.kill(Number.parseInt(output, 10));
  assert.equal(code, 130);
});
