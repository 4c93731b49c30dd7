/** `gantry verify`, `download` and `doctor` on networks that are not plain: mirrors, authorities of one's own, proxies. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { filesOf, startAilingServer } from '../support/ailing-server.ts';
import { makeCertificate } from '../support/certificates.ts';
import { gantry } from '../support/cli.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { flipBit, startHostileServer, type HostileServer } from '../support/hostile-server.ts';
import { startProxy } from '../support/proxy-server.ts';
import { publishedRepository, type PublishedRepository } from '../support/published-repository.ts';
import { requireTool } from '../support/tools.ts';

interface Scene {
  readonly cwd: string;
  readonly repository: PublishedRepository;
  /** `--root` and its value. */
  readonly root: readonly string[];
}

async function scene(t: TestContext): Promise<Scene> {
  const cwd = await temporaryDirectory(t);
  const repository = await publishedRepository(join(cwd, 'public'));
  return { cwd, repository, root: ['--root', repository.rootFile] };
}

const folder = ({ url }: HostileServer): string => new URL('metal/x86_64', url).href;

test('gantry verify goes on at a --mirror when the server is not there, and names one that lies', async (t) => {
  const { cwd, repository, root } = await scene(t);
  const [liar, honest] = [await startHostileServer(t, repository.directory), await startHostileServer(t, repository.directory)];
  const dead = 'http://127.0.0.1:1/metal/x86_64';
  const mirrors = ['--mirror', folder(liar), '--mirror', folder(honest)];
  const args = ['verify', dead, ...mirrors, ...root];
  const right = await gantry(args, { cwd });
  assert.equal(right.code, 0, right.stderr);
  assert.match(
    right.stderr,
    /^No mirror that answers has 3\.root\.json, and one could not be asked: Cannot reach http:\/\/127\.0\.0\.1:1: ECONNREFUSED$/mu,
  );
  liar.lies.set(
    'timestamp.json',
    flipBit((length) => length - 40),
  );
  const { code, stderr } = await gantry(args, { cwd });
  assert.equal(code, 0, stderr);
  assert.ok(stderr.includes(`The mirror ${folder(liar)}/ is not asked again: Cannot `), stderr);
  honest.lies.set('timestamp.json', (response) => response.writeHead(404).end());
  // Without the dead one, which would be waited for.
  assert.equal((await gantry(['verify', folder(liar), '--mirror', folder(honest), ...root], { cwd })).code, 1);
});

test('gantry download takes what its server lacks from a --mirror', async (t) => {
  const { cwd, repository, root } = await scene(t);
  const [server, mirror] = [await startHostileServer(t, repository.directory), await startHostileServer(t, repository.directory)];
  const [[name, bytes] = assert.fail()] = repository.targets;
  server.lies.set('', (response, file, request) => {
    if (file === undefined || request.url?.includes('/targets/') === true) response.writeHead(404).end();
    else response.end(file);
  });
  const args = ['download', folder(server), name, ...root, '-o', 'out'];
  assert.equal((await gantry(args, { cwd })).code, 4);
  const { code, stderr } = await gantry([...args, '--mirror', folder(mirror)], { cwd });
  assert.equal(code, 0, stderr);
  assert.deepEqual(await readFile(join(cwd, 'out')), Buffer.from(bytes));
});

test('gantry verify and doctor trust the authorities of --ca, and say what is wrong with the file', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const { cwd, repository, root } = await scene(t);
  const tls = await makeCertificate(t, 'IP:127.0.0.1', 90);
  await writeFile(join(cwd, 'ca.pem'), tls.cert);
  await writeFile(join(cwd, 'odd.pem'), 'no PEM');
  const url = new URL('metal/x86_64', await startAilingServer(t, { files: await filesOf(repository.directory), tls })).href;
  for (const args of [
    ['verify', url, ...root],
    ['doctor', url],
  ]) {
    const trusted = await gantry([...args, '--ca', 'ca.pem'], { cwd });
    assert.equal(trusted.code, 0, trusted.stderr + trusted.stdout);
    const odd = await gantry([...args, '--ca', 'odd.pem'], { cwd });
    assert.equal(odd.code, 3);
    assert.match(odd.stderr, /Cannot use the certificates of authorities: there is none; expected PEM/u);
    assert.equal((await gantry([...args, '--ca', 'none.pem'], { cwd })).code, 3);
    assert.notEqual((await gantry(args, { cwd })).code, 0);
  }
});

test('gantry verify goes through the proxy of the environment, past it where NO_PROXY says so, and never prints its password', async (t) => {
  const { cwd, repository, root } = await scene(t);
  const server = await startHostileServer(t, repository.directory);
  const proxy = await startProxy(t, { user: 'user', password: 'right' });
  const verify = async (password: string, env: NodeJS.ProcessEnv = {}): ReturnType<typeof gantry> =>
    gantry(['verify', folder(server), ...root], { cwd, env: { HTTP_PROXY: `http://user:${password}@${proxy.url.host}`, ...env } });
  assert.equal((await verify('right')).code, 0);
  const asked = proxy.requests.length;
  assert.ok(asked > 0);
  const { code, stderr } = await verify('hunter2');
  assert.equal(code, 4);
  assert.ok(stderr.includes(`through the proxy http://${proxy.url.host}: it wants another user and password (407)`), stderr);
  assert.ok(!stderr.includes('hunter2'));
  const before = proxy.requests.length;
  assert.equal((await verify('hunter2', { NO_PROXY: '127.0.0.0/8' })).code, 0);
  assert.equal(proxy.requests.length, before);
});
