/** The private parts of tuf-js that we stand in for: there, and of the version that we know. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { Updater } from 'tuf-js';
import { TrustedMetadataStore } from 'tuf-js/dist/store.js';
import { openTuf, readTrustAnchor } from '../../lib/client/tuf.ts';
import { createRepository, METADATA } from '../support/simulator.ts';

const require = createRequire(import.meta.url);

test('tuf-js and its models are the versions whose insides we know', () => {
  const versions = ['tuf-js', '@tufjs/models'].map((name) => require(`${name}/package.json`).version as unknown);
  assert.deepEqual(versions, ['6.0.2', '5.0.2']);
  for (const method of ['loadLocalMetadata', 'persistMetadata', 'loadTargets']) {
    assert.equal(typeof Reflect.get(Updater.prototype, method), 'function', method);
  }
});

test('the store of tuf-js has one clock, and it is the one that is given', async () => {
  const root = (await createRepository()).metadata('1.root.json');
  const store: object = new TrustedMetadataStore(Buffer.from(root));
  assert.deepEqual(Object.keys(store), ['trustedSet', 'referenceTime']);
});

test('openTuf() reads from its storage alone, offers it what was accepted, and judges by the time that it is given', async () => {
  const simulator = await createRepository();
  const accepted: string[] = [];
  const asked: string[] = [];
  const tuf = (now: Date) =>
    openTuf({
      metadataUrl: 'http://updates.example/x',
      storage: {
        read: (role) => (role === 'root' ? simulator.metadata('1.root.json') : undefined),
        accept: (role) => void accepted.push(role),
      },
      fetcher: {
        async downloadBytes(url) {
          const file = url.slice('http://updates.example/x/'.length);
          asked.push(file);
          return Buffer.from(simulator.files.get(METADATA + file) ?? '');
        },
        downloadFile: async () => Promise.reject(new TypeError('never')),
      },
      limits: { maxRootRotations: 0 },
      now,
    });
  const honest = tuf(new Date());
  assert.equal(honest.accepted(), undefined);
  await honest.refresh();
  assert.deepEqual(asked, ['timestamp.json', '1.snapshot.json', '1.targets.json']);
  assert.deepEqual(accepted, ['timestamp', 'snapshot', 'targets']);
  assert.deepEqual(Object.keys(honest.accepted()?.targets.targets ?? {}), ['manifest.json']);
  await assert.rejects(tuf(new Date('2100-01-01T00:00:00Z')).refresh(), /expired/u);
});

test('openTuf() proves a signature once, however often a target is looked up', async (t) => {
  const simulator = await createRepository();
  const tuf = openTuf({
    metadataUrl: 'http://updates.example/x',
    storage: { read: (role) => (role === 'root' ? simulator.metadata('1.root.json') : undefined), accept: () => undefined },
    fetcher: {
      downloadBytes: async (url) => Buffer.from(simulator.files.get(METADATA + url.slice('http://updates.example/x/'.length)) ?? ''),
      downloadFile: async () => Promise.reject(new TypeError('never')),
    },
    limits: { maxRootRotations: 0 },
    now: new Date(),
  });
  await tuf.refresh();
  const targets = tuf.accepted()?.targets;
  assert.ok(targets);
  const written = t.mock.method(targets, 'toJSON');
  for (let round = 0; round < 3; round += 1) assert.ok(await tuf.find('manifest.json'));
  assert.equal(written.mock.callCount(), 0);
});

test('readTrustAnchor() throws when a root is not signed by itself', async () => {
  const simulator = await createRepository();
  const weak = await simulator.publishRoot(simulator.signers.roots.slice(0, 1));
  assert.throws(() => readTrustAnchor(weak.bytes), /signed by 1\/2 keys/u);
  assert.equal(readTrustAnchor(simulator.metadata('1.root.json')).version, 1);
});
