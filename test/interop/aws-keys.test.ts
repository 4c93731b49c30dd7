/** What keys in AWS KMS sign, a digest with a salt as long as it is, every foreign client reads; and tuftool finds the same keys by our URLs. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { writeSsmKey } from '../../lib/keys/aws/ssm.ts';
import { openReference } from '../../lib/keys/reference.ts';
import { startStaticServer, type StaticServer } from '../../lib/server/static-server.ts';
import { canonicalBytesAsRead } from '../../lib/tuf/canonical.ts';
import { keyContentOf, keyIdOf } from '../../lib/tuf/key.ts';
import { verifySignature } from '../../lib/tuf/signature.ts';
import type { PublicKey, Signature } from '../../lib/tuf/types.ts';
import { useAwsEnvironment } from '../support/aws.ts';
import { awsScene, expectDone, REGION } from '../support/aws-scene.ts';
import { ADD } from '../support/cli.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { PEER_NAMES, readWithPeer, skipReason, tuftool } from '../support/peers.ts';
import { accessOf } from '../support/signer-access.ts';

const runFile = promisify(execFile);

const cleanups: (() => Promise<void> | void)[] = [];
let directory: string;
let server: StaticServer;

before(async () => {
  const { aws, workspace, run } = await awsScene({ after: (work: () => Promise<void>) => cleanups.unshift(work) });
  directory = join(workspace, '..');
  const keys = {
    online: { privateKey: generateKeyPairSync('rsa', { modulusLength: 4096 }).privateKey, spec: 'RSA_4096' },
    targets: { privateKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, spec: 'ECC_NIST_P256' },
    'root-a': { privateKey: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey, spec: 'RSA_2048' },
  };
  for (const [name, key] of Object.entries(keys)) {
    aws.keys.set(`${REGION} alias/${name}`, key);
    await expectDone(run('key', 'import', `kms-${name}`, `aws-kms:///alias/${name}`));
    await expectDone(run('root', 'replace-key', name, `kms-${name}`, '--yes'));
  }
  for (const args of [['sign'], ['publish', '--yes'], ADD, ['sign'], ['publish']]) await expectDone(run(...args));
  assert.ok(aws.asked.filter((call) => call.startsWith('kms:Sign')).length >= 4);
  server = await startStaticServer({ directory: join(directory, 'public') });
});
after(async () => {
  await server.close();
  for (const cleanup of cleanups) await cleanup();
});

for (const peer of PEER_NAMES) {
  test(`${peer} reads what keys in AWS KMS signed`, { skip: await skipReason(peer) }, async () => {
    const out = join(directory, `out ${peer}`);
    await mkdir(out);
    const report = await readWithPeer(peer, {
      rootFile: join(directory, 'my-os', '1.root.json'),
      metadataUrl: new URL('metal/x86_64/', server.url),
      targetsUrl: new URL('targets/', server.url),
      out,
    });
    assert.equal(report.root, 2);
    assert.ok(report.downloaded.includes('manifest.json'));
  });
}

test(
  'tuftool signs with the keys that openReference() opens by the same URLs, those that writeSsmKey() wrote among them',
  { skip: await skipReason('tough 0.24') },
  async (t) => {
    const { aws, env } = await awsScene(t);
    const rsa = (): KeyObject => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    aws.keys.set(`${REGION} alias/os`, { privateKey: rsa(), spec: 'RSA_2048' });
    aws.parameters.set(`${REGION} /os/pkcs1`, { value: String(rsa().export({ format: 'pem', type: 'pkcs1' })), type: 'SecureString' });
    useAwsEnvironment(env);
    const urls = ['aws-kms:///alias/os', 'aws-ssm:///os/pkcs1', 'aws-ssm:///os/ours?kms-key-id=alias/os'] as const;
    await writeSsmKey(urls[2], rsa(), accessOf());

    const cwd = await temporaryDirectory(t);
    const program = await tuftool();
    const run = async (verb: string, ...args: readonly string[]): Promise<unknown> =>
      runFile(program, ['root', verb, 'root.json', ...args], { cwd, env: { ...process.env, ...env } });
    await run('init');
    await run('expire', 'in 52 weeks');
    const roles = ['root', 'targets', 'snapshot', 'timestamp'];
    for (const url of urls) await run('add-key', '-k', url, ...roles.flatMap((role) => ['--role', role]));
    for (const role of roles) await run('set-threshold', role, String(urls.length));
    await run('sign', ...urls.flatMap((url) => ['-k', url]));

    const { signed, signatures } = parseSigned(await readFile(join(cwd, 'root.json')));
    const found = new Map(signatures.map((signature) => [keyContentOf(signed.keys[signature.keyid] ?? assert.fail()), signature]));
    assert.equal(found.size, urls.length);
    for (const url of urls) {
      const { key } = await openReference(url, accessOf());
      const signature = found.get(keyContentOf(key)) ?? assert.fail(`${url} is another key to tuftool`);
      assert.ok(verifySignature(key, { ...signature, keyid: keyIdOf(key) }, canonicalBytesAsRead(signed)));
    }
  },
);

interface SignedRoot {
  readonly signed: { readonly keys: Readonly<Record<string, PublicKey>> };
  readonly signatures: readonly Signature[];
}

function parseSigned(bytes: Uint8Array): SignedRoot {
  // tuftool wrote it.
  return JSON.parse(Buffer.from(bytes).toString('utf8')) as SignedRoot;
}
