/** `gantry doctor` as an operator types it. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { createWorkspace } from '../../lib/workspace/create.ts';
import { filesOf, startAilingServer, type Ailment } from '../support/ailing-server.ts';
import { makeCertificate, type Certificate } from '../support/certificates.ts';
import { gantry } from '../support/cli.ts';
import { METAL, temporaryDirectory } from '../support/engineer.ts';
import { publishedRepository } from '../support/published-repository.ts';
import { requireTool } from '../support/tools.ts';

interface Clinic {
  /** Of the server, with a slash at the end. */
  readonly server: URL;
  readonly url: string;
  readonly cwd: string;
}

async function openClinic(t: TestContext, options: { readonly ailment?: Ailment; readonly tls?: Certificate } = {}): Promise<Clinic> {
  const cwd = await temporaryDirectory(t);
  await publishedRepository(join(cwd, 'public'));
  const server = await startAilingServer(t, { files: await filesOf(join(cwd, 'public')), ...options });
  return { server, url: new URL('metal/x86_64', server).href, cwd };
}

test('gantry doctor says what it does, finds nothing on a healthy server, and exits 0', async (t) => {
  const { url, cwd } = await openClinic(t);
  const { code, stdout, stderr } = await gantry(['doctor', url], { cwd });
  assert.equal(code, 0, stderr);
  assert.equal(stdout, '25 requests: 0 errors, 0 warnings.\n');
  assert.match(stderr, /^Asking for timestamp\.json \(5 times\)\.\n/u);
  const json = await gantry(['doctor', url, '--json', '--probes', '2'], { cwd });
  assert.equal(json.stderr, '');
  assert.deepEqual(JSON.parse(json.stdout), {
    ok: true,
    requests: 22,
    timestamps: [12, 12],
    root: 2,
    findings: [],
    errors: 0,
    warnings: 0,
  });
});

test('gantry doctor lists findings with what to do, and exits 3 only for errors', async (t) => {
  const { url, cwd } = await openClinic(t, {
    ailment: (answer, { path }) => {
      if (path.endsWith('3.root.json')) return { ...answer, status: 403 };
      return path.endsWith('timestamp.json') ? { ...answer, headers: { ...answer.headers, 'cache-control': 'max-age=300' } } : answer;
    },
  });
  const both = await gantry(['doctor', url], { cwd });
  assert.equal(both.code, 3);
  assert.match(
    both.stdout,
    /^✗ timestamp-cache-long: \/metal\/x86_64\/timestamp\.json: caches may keep it for 300 s; expected at most 60 s\n {4}fix: /u,
  );
  assert.match(both.stdout, /\n✗ next-root: \/metal\/x86_64\/3\.root\.json: .*403; expected 404\n {4}fix: answer 404/u);
  assert.match(both.stdout, /\n\n24 requests: 2 errors, 0 warnings\.\n$/u);
  const one = await gantry(['doctor', url, '--max-timestamp-age', '5 minutes', '--json'], { cwd });
  assert.equal(one.code, 3);
  const { findings } = JSON.parse(one.stdout) as { readonly findings: readonly { readonly rule: string }[] };
  assert.deepEqual(
    findings.map(({ rule }) => rule),
    ['next-root'],
  );
});

test('gantry doctor exits 0 when there are warnings alone', async (t) => {
  const { url, cwd } = await openClinic(t, {
    ailment: (answer) => ({ ...answer, headers: { ...answer.headers, 'accept-ranges': undefined } }),
  });
  const { code, stdout } = await gantry(['doctor', url], { cwd });
  assert.equal(code, 0);
  assert.match(stdout, /^! range-unannounced: /u);
});

test('gantry doctor looks for targets where it is told', async (t) => {
  const { url, server, cwd } = await openClinic(t);
  const wrong = await gantry(['doctor', url, '--targets-url', new URL('elsewhere', server).href], { cwd });
  assert.equal(wrong.code, 3);
  assert.match(wrong.stdout, /named-missing: \/elsewhere\/[0-9a-f]{64}\.manifest\.json and 1 more/u);
  const right = await gantry(['doctor', url, '--targets-url', new URL('targets', server).href], { cwd });
  assert.equal(right.code, 0, right.stdout);
});

test('gantry doctor names the right URL when it knows the repository from the workspace', async (t) => {
  const { server, cwd } = await openClinic(t);
  const workspace = join(cwd, 'my-os');
  await createWorkspace(workspace, { product: 'my-os', repositories: [METAL], store: join(cwd, 'public') });
  const { code, stderr } = await gantry(['doctor', server.href], { cwd: workspace });
  assert.equal(code, 4);
  assert.match(stderr, new RegExp(`expected the folder of timestamp\\.json, which ${server.href}metal/x86_64/ is\nhint: `, 'u'));
});

test('gantry doctor says what is wrong with a certificate, and an authority of ones own can be made known', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const tls = await makeCertificate(t, 'IP:127.0.0.1', 30);
  const { url, server, cwd } = await openClinic(t, { tls });
  const unknown = await gantry(['doctor', url], { cwd });
  assert.equal(unknown.code, 3);
  assert.match(
    unknown.stdout,
    new RegExp(`^✗ certificate: /metal/x86_64/timestamp\\.json: the certificate of ${server.origin} is signed by itself`, 'u'),
  );
  assert.doesNotMatch(unknown.stderr, /\bat .*\.ts:/u);
  const authority = join(cwd, 'authority.pem');
  await writeFile(authority, tls.cert);
  const known = await gantry(['doctor', url], { cwd, env: { NODE_EXTRA_CA_CERTS: authority } });
  assert.equal(known.code, 0, known.stdout);
});

test('gantry doctor refuses options that mean nothing', async (t) => {
  const cwd = await temporaryDirectory(t);
  for (const [args, code, message] of [
    [['http://127.0.0.1/', '--probes', '0'], 2, /Cannot use --probes "0": expected a whole number from 1 to 1000/u],
    [['http://127.0.0.1/', '--max-timestamp-age', 'soon'], 3, /Cannot use "soon" as a length of time/u],
    [['./public/metal/x86_64'], 3, /expected a URL that starts with http/u],
    [[], 2, /url/u],
  ] as const) {
    const result = await gantry(['doctor', ...args], { cwd });
    assert.equal(result.code, code, result.stderr);
    assert.match(result.stderr, message);
  }
});
