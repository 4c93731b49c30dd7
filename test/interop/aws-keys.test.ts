/** What keys in AWS KMS sign, a digest with a salt as long as it is, every foreign client reads. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { startStaticServer, type StaticServer } from '../../lib/server/static-server.ts';
import { awsScene, expectDone, REGION } from '../support/aws-scene.ts';
import { ADD } from '../support/cli.ts';
import { PEER_NAMES, readWithPeer, skipReason } from '../support/peers.ts';

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
