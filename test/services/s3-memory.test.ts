/** An object of any size goes up in the same memory: parts on their way, not the object. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { S3_SERVER_KINDS, skipReason, startS3Server } from '../support/s3-server.ts';
import { awsEnvironment } from './aws-environment.ts';

const run = promisify(execFile);
const LIMIT_BYTES = 200e6;
const OBJECT_BYTES = 1 << 30;
const at = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);

/** Runs in a process of its own, whose peak is then its own too. */
const script = (endpoint: string, region: string, bucket: string): string => `
  import { createHash } from 'node:crypto';
  import { createS3Store } from ${at('../../lib/store/s3/s3.ts')};
  import { parseStorePath } from ${at('../../lib/store/path.ts')};
  import { imageBytes } from ${at('../support/bytes.ts')};
  const sample = imageBytes(1 << 20);
  async function* open() {
    for (let sent = 0; sent < ${OBJECT_BYTES}; sent += sample.length) yield sample;
  }
  const hash = createHash('sha256');
  for (let hashed = 0; hashed < ${OBJECT_BYTES}; hashed += sample.length) hash.update(sample);
  const source = { lengthBytes: ${OBJECT_BYTES}, sha256: hash.digest('hex'), open };
  const settings = ${JSON.stringify({ endpoint, region, pathStyle: true })};
  const store = await createS3Store({ bucket: ${JSON.stringify(bucket)}, prefix: '' }, settings);
  const path = parseStorePath('targets/large.img');
  await store.write(path, source, { expect: 'absent', cacheClass: 'immutable', contentType: 'application/octet-stream' });
  const { lengthBytes } = await store.head(path);
  console.log(JSON.stringify([lengthBytes, process.resourceUsage().maxRSS * 1024]));`;

for (const kind of S3_SERVER_KINDS) {
  test(`write() stays below ${LIMIT_BYTES / 1e6} MB when 1 GiB goes to ${kind}`, { skip: await skipReason(kind) }, async (t) => {
    const server = await startS3Server(kind);
    t.after(async () => server.stop());
    const code = script(server.endpoint, server.region, await server.bucket('memory'));
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', code], {
      env: { ...process.env, ...awsEnvironment(server.credentials) },
    });
    const [lengthBytes, peakBytes] = JSON.parse(stdout) as [number, number];
    assert.equal(lengthBytes, OBJECT_BYTES);
    t.diagnostic(`peak ${(peakBytes / 1e6).toFixed(0)} MB`);
    assert.ok(peakBytes < LIMIT_BYTES, `the peak was ${(peakBytes / 1e6).toFixed(0)} MB`);
  });
}
