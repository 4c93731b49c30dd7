/**
 * What the examples for web servers in `repo-layout/hosting/` promise, asked of a real server over a Unix socket, so that no port
 * is needed.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request, type IncomingHttpHeaders } from 'node:http';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { examineRepository } from '../../lib/publish/doctor/doctor.ts';
import { filesOf } from './ailing-server.ts';
import type { Cleanup } from './engineer.ts';
import { publishedRepository } from './published-repository.ts';

const DIGEST = 'ab'.repeat(32);
const IMMUTABLE = 'public, max-age=31536000, immutable';
const TIMESTAMP = 'metal/x86_64/timestamp.json';
const NESTED = `targets/dir/${DIGEST}.nested`;
const FILES: Readonly<Record<string, string>> = {
  [TIMESTAMP]: '{"a": 1}',
  'metal/x86_64/1.root.json': `{"long": "${'x'.repeat(5000)}"}`,
  'metal/x86_64/7.team-a.json': '{}',
  'metal/x86_64/notes.txt': 'not published',
  'metal/x86_64/index.html': 'not published',
  [`targets/${DIGEST}.os-metal-x86_64-1.2.0+b.1-9c41e7d0-root.ext4.zst`]: '0123456789',
  [`targets/${DIGEST}.os-metal-x86_64-1.2.0+b.1-9c41e7d0-root.ext4.zst.frames`]: 'frames',
  [`targets/${DIGEST}.manifest.json`]: '{"updates": []}',
  [NESTED]: 'nested',
  'targets/.hidden': 'hidden',
  '.gantry/lock.sqlite': 'lock',
};
const MISSING: readonly string[] = [
  '/metal/x86_64/2.root.json',
  '/metal/x86_64/notes.txt',
  '/metal/x86_64/',
  '/metal/x86_64',
  '/targets/.hidden',
  '/.gantry/lock.sqlite',
  '/targets/',
  '/targets',
  '/targets/dir',
  '/targets/dir/',
  '/',
  `/targets/${DIGEST}.gone`,
  '/metal/x86_64/%2e%2e/%2e%2e/.gantry/lock.sqlite',
  '/targets/%2ehidden',
  '/targets/dir/..%2f.hidden',
];

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface Asking {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

type Ask = (path: string, asking?: Asking) => Promise<Answer>;

export interface WebServer {
  readonly command: string;
  /** @param folder where the store is `public/` and the socket `socket`; @returns arguments and environment of the command */
  readonly configure: (folder: string) => Promise<{ readonly args: readonly string[]; readonly env?: Readonly<Record<string, string>> }>;
}

export async function webServerFolder(t: Cleanup): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-web-'));
  t.after(async () => rm(folder, { recursive: true, force: true }));
  return folder;
}

interface RunningServer {
  readonly ask: Ask;
  readonly socketPath: string;
}

/** Starts the server with these files as its store. @throws Error when it does not come up */
async function startWebServer(
  t: Cleanup,
  { command, configure }: WebServer,
  files: Readonly<Record<string, string | Uint8Array>>,
): Promise<RunningServer> {
  const folder = await mkdtemp(join(tmpdir(), 'gantry-web-'));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(folder, 'public', name, '..'), { recursive: true });
    await writeFile(join(folder, 'public', name), content);
  }
  const { args, env } = await configure(folder);
  const server = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, ...env } });
  let said = '';
  server.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const ended = new Promise((resolve) => server.once('exit', resolve));
  t.after(async () => {
    // Caddy's graceful end waits for connections that are kept alive.
    server.kill('SIGKILL');
    await ended;
    await rm(folder, { recursive: true, force: true });
  });
  const socketPath = join(folder, 'socket');
  const ask: Ask = async (path, asking) => askOver(socketPath, path, asking);
  for (let tries = 0; tries < 500 && server.exitCode === null; tries += 1) {
    const answered = await ask('/').then(
      () => true,
      () => false,
    );
    if (answered) return { ask, socketPath };
    await sleep(20);
  }
  throw new Error(`${command} did not start: ${said}`);
}

function askOver(socketPath: string, path: string, { method = 'GET', headers = {} }: Asking = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path, method, headers: { host: 'updates.example.com', ...headers }, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString() }),
      );
    });
    sent.on('error', reject);
    sent.end();
  });
}

/** All of `repo-layout/README.md` that a server has a part in. */
export async function assertServesStore(t: Cleanup, server: WebServer): Promise<void> {
  const { ask } = await startWebServer(t, server, FILES);
  await assertTimestamp(ask);
  await assertImmutable(ask);
  await assertRanges(ask);
  await assertMissing(ask);
  await assertReadOnly(ask);
}

/** `gantry doctor` has nothing to say about a published repository there. */
export async function assertHealthy(t: Cleanup, server: WebServer): Promise<void> {
  const folder = await webServerFolder(t);
  await publishedRepository(folder);
  const { socketPath } = await startWebServer(t, server, Object.fromEntries(await filesOf(folder)));
  const report = await examineRepository(`http://127.0.0.1:${await portTo(t, socketPath)}/metal/x86_64`);
  assert.deepEqual(report, { findings: [], requests: 25, timestamps: [12, 12, 12, 12, 12], root: 2 });
}

/** A TCP port of this machine that leads to the socket. */
async function portTo(t: Cleanup, socketPath: string): Promise<number> {
  const server = createServer((near) => {
    const far = connect(socketPath);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
      from.pipe(to);
    }
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  t.after(async () => void server.close());
  // The proof of the cast: it listens on a TCP port, so its address is not a pipe's name.
  return (server.address() as AddressInfo).port;
}

async function assertTimestamp(ask: Ask): Promise<void> {
  const timestamp = await ask(`/${TIMESTAMP}?version=1.0.0&seed=7`, { headers: { 'accept-encoding': 'gzip' } });
  assert.equal(timestamp.status, 200);
  assert.equal(timestamp.body, FILES[TIMESTAMP]);
  assert.equal(timestamp.headers['cache-control'], 'public, max-age=60, must-revalidate');
  assert.equal(timestamp.headers['content-type'], 'application/json');
  assert.equal(timestamp.headers['content-encoding'], undefined);
  assert.equal(timestamp.headers.etag, undefined);
  // Two publications may share a date and a size.
  const revalidated = await ask(`/${TIMESTAMP}`, { headers: { 'if-modified-since': timestamp.headers['last-modified'] ?? '' } });
  assert.equal(revalidated.status, 200);
}

async function assertImmutable(ask: Ask): Promise<void> {
  for (const name of Object.keys(FILES).filter((file) => file.includes(DIGEST) || /\/[0-9]+\./u.test(file))) {
    const answer = await ask(`/${name}?seed=7`, { headers: { 'accept-encoding': 'gzip, br, zstd' } });
    assert.equal(answer.status, 200, name);
    assert.equal(answer.body, FILES[name]);
    assert.equal(answer.headers['cache-control'], IMMUTABLE);
    assert.equal(answer.headers['content-type'], name.endsWith('.json') ? 'application/json' : 'application/octet-stream', name);
    assert.equal(answer.headers['content-encoding'], undefined);
    assert.equal(answer.headers['accept-ranges'], 'bytes');
    const head = await ask(`/${name}`, { method: 'HEAD' });
    assert.deepEqual([head.status, head.body, head.headers['content-length']], [200, '', String(FILES[name]?.length)]);
  }
}

async function assertRanges(ask: Ask): Promise<void> {
  const part = await ask(`/${NESTED}`, { headers: { range: 'bytes=2-3' } });
  assert.deepEqual([part.status, part.body, part.headers['content-range']], [206, 'st', 'bytes 2-3/6']);
  const { etag = '' } = (await ask(`/${NESTED}`)).headers;
  const resumed = await ask(`/${NESTED}`, { headers: { range: 'bytes=4-', 'if-range': etag } });
  assert.deepEqual([resumed.status, resumed.body], [206, 'ed']);
  const another = await ask(`/${NESTED}`, { headers: { range: 'bytes=4-', 'if-range': '"another"' } });
  assert.deepEqual([another.status, another.body], [200, 'nested']);
  assert.equal((await ask(`/${NESTED}`, { headers: { range: 'bytes=6-' } })).status, 416);
}

async function assertMissing(ask: Ask): Promise<void> {
  for (const path of MISSING) {
    for (const method of ['GET', 'HEAD']) {
      const answer = await ask(path, { method });
      assert.equal(answer.status, 404, path);
      assert.equal(answer.headers['cache-control'], 'no-store', path);
      assert.equal(answer.headers.etag, undefined, path);
      assert.ok(answer.body.length < 30, answer.body);
    }
  }
}

async function assertReadOnly(ask: Ask): Promise<void> {
  for (const method of ['PUT', 'POST', 'DELETE', 'PATCH', 'MKCOL']) {
    const answer = await ask(`/${TIMESTAMP}`, { method });
    assert.ok(answer.status === 405 || answer.status === 403, `${method}: ${answer.status}`);
  }
  assert.equal((await ask(`/${TIMESTAMP}`)).body, FILES[TIMESTAMP]);
}
