/** `repo-layout/hosting/nginx.conf` in a real nginx, over a Unix socket, so that no port is needed. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request, type IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { requireTool } from '../support/tools.ts';

const EXAMPLE = new URL('../../repo-layout/hosting/nginx.conf', import.meta.url);
const DIGEST = 'ab'.repeat(32);
const IMMUTABLE = 'public, max-age=31536000, immutable';
const FILES: Readonly<Record<string, string>> = {
  'metal/x86_64/timestamp.json': '{"a": 1}',
  'metal/x86_64/1.root.json': `{"long": "${'x'.repeat(5000)}"}`,
  'metal/x86_64/7.team-a.json': '{}',
  'metal/x86_64/notes.txt': 'not published',
  [`targets/${DIGEST}.os-metal-x86_64-1.2.0+b.1-9c41e7d0-root.ext4.zst`]: '0123456789',
  [`targets/dir/${DIGEST}.nested`]: 'nested',
  'targets/.hidden': 'hidden',
  '.gantry/lock.sqlite': 'lock',
};

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

type Get = (path: string, headers?: Readonly<Record<string, string>>) => Promise<Answer>;

const makeFolder = (): Promise<string> => mkdtemp(join(tmpdir(), 'gantry-nginx-'));
const removeFolder = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true });

/** The example with its marked lines changed, inside the smallest configuration around it. */
async function configure(folder: string): Promise<string> {
  const example = await readFile(EXAMPLE, 'utf8');
  const server = example
    .replace(/listen +80;/u, `listen unix:${join(folder, 'socket')};`)
    .replace(/root +[^;]+;/u, `root ${join(folder, 'public')};`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((what) => `${what}_temp_path ${join(folder, what)};`);
  const path = join(folder, 'nginx.conf');
  await writeFile(
    path,
    `daemon off; master_process off; pid ${join(folder, 'pid')}; error_log stderr crit;\n` +
      `events {}\nhttp { access_log off; ${temporary.join(' ')}\n${server}\n}\n`,
  );
  return path;
}

async function startNginx(t: TestContext): Promise<Get> {
  const folder = await makeFolder();
  for (const [name, text] of Object.entries(FILES)) {
    await mkdir(join(folder, 'public', name, '..'), { recursive: true });
    await writeFile(join(folder, 'public', name), text);
  }
  const nginx = spawn('nginx', ['-p', folder, '-c', await configure(folder)], { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = new Promise((resolve) => nginx.once('exit', resolve));
  t.after(async () => {
    nginx.kill('SIGTERM');
    await ended;
    await removeFolder(folder);
  });
  const get: Get = (path, headers = {}) => getOver(join(folder, 'socket'), path, headers);
  for (let tries = 0; tries < 500; tries += 1) {
    const answered = await get('/').then(
      () => true,
      () => false,
    );
    if (answered) return get;
    await sleep(10);
  }
  throw new Error('nginx did not start');
}

function getOver(socketPath: string, path: string, headers: Readonly<Record<string, string>>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ socketPath, path, headers, agent: false }, (response) => {
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

test('hosting/nginx.conf passes nginx -t', async (t) => {
  if (!requireTool(t, 'nginx')) return;
  const folder = await makeFolder();
  t.after(async () => removeFolder(folder));
  const { stderr } = await promisify(execFile)('nginx', ['-t', '-p', folder, '-c', await configure(folder)]);
  assert.match(stderr, /test is successful/u);
});

test('hosting/nginx.conf serves a store as README.md says', async (t) => {
  if (!requireTool(t, 'nginx')) return;
  const get = await startNginx(t);

  const timestamp = await get('/metal/x86_64/timestamp.json?version=1.0.0&seed=7', { 'accept-encoding': 'gzip' });
  assert.equal(timestamp.status, 200);
  assert.equal(timestamp.body, FILES['metal/x86_64/timestamp.json']);
  assert.equal(timestamp.headers['cache-control'], 'public, max-age=60, must-revalidate');
  assert.equal(timestamp.headers['content-type'], 'application/json');
  assert.equal(timestamp.headers.etag, undefined);
  const revalidated = await get('/metal/x86_64/timestamp.json', { 'if-modified-since': timestamp.headers['last-modified'] ?? '' });
  assert.equal(revalidated.status, 200);

  for (const name of [
    'metal/x86_64/1.root.json',
    'metal/x86_64/7.team-a.json',
    ...Object.keys(FILES).filter((file) => file.includes(DIGEST)),
  ]) {
    const answer = await get(`/${name}?seed=7`, { 'accept-encoding': 'gzip, br' });
    assert.equal(answer.status, 200, name);
    assert.equal(answer.body, FILES[name]);
    assert.equal(answer.headers['cache-control'], IMMUTABLE);
    assert.equal(answer.headers['content-encoding'], undefined);
    assert.equal(answer.headers['accept-ranges'], 'bytes');
  }

  const part = await get(`/targets/dir/${DIGEST}.nested`, { range: 'bytes=2-3' });
  assert.equal(part.status, 206);
  assert.equal(part.body, 'st');

  const missing = [
    '/metal/x86_64/2.root.json',
    '/metal/x86_64/notes.txt',
    '/targets/.hidden',
    '/.gantry/lock.sqlite',
    '/targets/',
    '/targets',
    '/',
  ];
  for (const path of [...missing, `/targets/${DIGEST}.gone`, '/metal/x86_64/%2e%2e/%2e%2e/.gantry/lock.sqlite']) {
    const answer = await get(path);
    assert.equal(answer.status, 404, path);
    assert.equal(answer.headers['cache-control'], 'no-store', path);
    assert.equal(answer.body, 'Not found\n');
  }
});
