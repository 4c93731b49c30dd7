/** Attacks on bundles: every way in which a tar file can lie, each with its honest twin. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { RepositoryClient } from '../../lib/client/index.ts';
import { isGantryError, type ErrorCode } from '../../lib/errors.ts';
import { bundleScene, publishedImage, IMAGE, RAW, tarOf, type BundleScene } from '../support/bundle-scene.ts';
import { drain, stateFiles } from '../support/host.ts';
import { paxEntry, paxRecord, rawEntry, TAR_END } from '../support/tar.ts';

type Tar = (honest: Buffer, scene: BundleScene) => Buffer;

interface Attack {
  readonly attack: Tar;
  /** By default the bundle as it is. */
  readonly twin?: Tar;
  readonly code?: ErrorCode;
  readonly says?: RegExp;
}

/** Another entry in front of the others. */
function before(...entries: readonly Buffer[]): Tar {
  return (honest) => Buffer.concat([...entries, honest]);
}

/** Files exchanged, dropped or added. */
function changed(change: (files: Map<string, Uint8Array>, scene: BundleScene) => void): Tar {
  return (_, scene) => {
    const files = scene.files();
    change(files, scene);
    return tarOf(files);
  };
}

const README = rawEntry({ name: 'metadata/readme', content: 'hello' });
const LONG = `metadata/${'n'.repeat(150)}`;

const ATTACKS: Readonly<Record<string, Attack>> = {
  'a name that leads out': { attack: before(rawEntry({ name: '../evil' })), says: /is called "\.\.\/evil"/u },
  'a name that leads out through a folder': {
    attack: before(rawEntry({ name: 'metadata/../../evil' })),
    twin: before(README),
    says: /is called/u,
  },
  'an absolute name': { attack: before(rawEntry({ name: '/etc/passwd' })), says: /is called "\/etc\/passwd"/u },
  'a name with a backslash': { attack: before(rawEntry({ name: 'metadata\\..\\x' })), says: /is called/u },
  'a name with a line break': { attack: before(rawEntry({ name: 'metadata/a\nb' })), says: /is called/u },
  'an empty name': { attack: before(rawEntry({ name: '' })), says: /is called ""/u },
  'a name with an empty part': { attack: before(rawEntry({ name: 'metadata//x' })), says: /is called/u },
  'a prefix that leads out': {
    attack: before(rawEntry({ name: 'x', change: (header) => header.write('metadata/../..', 345) })),
    twin: before(rawEntry({ name: 'x', change: (header) => header.write('metadata/sub', 345) })),
    says: /is called/u,
  },
  'a pax name that leads out': {
    attack: before(paxEntry({ path: '../evil' }), README),
    twin: before(paxEntry({ path: LONG }), README),
    says: /is called "\.\.\/evil"/u,
  },
  'a folder of its own': {
    attack: before(rawEntry({ name: 'etc/passwd' })),
    twin: before(README),
    says: /it has "etc\/passwd"; expected metadata\//,
  },
  'a hard link': { attack: before(rawEntry({ name: 'metadata/a', type: '1', linkname: '/etc/shadow' })), says: /a hard link is there/u },
  'a symbolic link': { attack: before(rawEntry({ name: 'metadata/a', type: '2', linkname: '/etc/shadow' })), says: /a symbolic link/u },
  'a character device': { attack: before(rawEntry({ name: 'metadata/a', type: '3' })), says: /a character device/u },
  'a block device': { attack: before(rawEntry({ name: 'metadata/a', type: '4' })), says: /a block device/u },
  'a folder entry': { attack: before(rawEntry({ name: 'metadata/', type: '5' })), says: /a folder is there/u },
  'a pipe': { attack: before(rawEntry({ name: 'metadata/a', type: '6' })), says: /a pipe/u },
  'a sparse file': { attack: before(rawEntry({ name: 'metadata/a', type: 'S', size: 0 })), says: /a sparse file/u },
  'a sparse file in pax': {
    attack: before(paxEntry({ 'GNU.sparse.major': '1' }), README),
    twin: before(paxEntry({ comment: 'x' }), README),
    says: /a sparse file/u,
  },
  'a long name of GNU tar': {
    attack: before(rawEntry({ name: '././@LongLink', type: 'L', content: LONG }), README),
    says: /a long name of GNU tar/u,
  },
  'an unknown type': { attack: before(rawEntry({ name: 'metadata/a', type: 'Z' })), says: /type "Z"/u },
  'a global pax header': { attack: before(paxEntry({ path: 'metadata/x' }, 'g')), says: /a global pax header/u },
  'two pax headers in a row': {
    attack: before(paxEntry({ a: 'b' }), paxEntry({ path: LONG }), README),
    twin: before(paxEntry({ path: LONG }), README),
    says: /follows another/u,
  },
  'a pax header that ends the archive': {
    attack: (honest) => Buffer.concat([honest.subarray(0, -1024), paxEntry({ a: 'b' }), TAR_END]),
    says: /ends behind a pax header/u,
  },
  'a huge pax header': {
    attack: before(paxEntry({ comment: 'x'.repeat(5000) }), README),
    twin: before(paxEntry({ comment: 'x'.repeat(3000) }), README),
    says: /a pax header of \d+ bytes/u,
  },
  'a pax header that says it has terabytes': {
    attack: before(rawEntry({ name: 'PaxHeader', type: 'x', size: 2 ** 32 })),
    says: /the file ends before/u,
  },
  'a pax record that is longer than its header': {
    attack: before(rawEntry({ name: 'PaxHeader', type: 'x', content: '99999 path=x\n' }), README),
    says: /damaged pax header/u,
  },
  'a pax record without length': {
    attack: before(rawEntry({ name: 'PaxHeader', type: 'x', content: '0 path=x\n' }), README),
    says: /damaged pax header/u,
  },
  'a pax header that says a thing twice': {
    attack: before(rawEntry({ name: 'PaxHeader', type: 'x', content: paxRecord('path', LONG) + paxRecord('path', `${LONG}2`) }), README),
    twin: before(rawEntry({ name: 'PaxHeader', type: 'x', content: paxRecord('path', LONG) + paxRecord('comment', 'x') }), README),
    says: /says "path" twice/u,
  },
  'a pax size that is no number': {
    attack: before(paxEntry({ size: '1e3' }), README),
    twin: before(paxEntry({ size: '5' }), README),
    says: /"1e3" as a size/u,
  },
  'a pax size that hides the next entries': { attack: before(paxEntry({ size: '99999999' }), README), says: /the file ends before/u },
  'the same file twice': {
    attack: (honest, { files }) =>
      Buffer.concat([rawEntry({ name: 'metadata/timestamp.json', content: files().get('metadata/timestamp.json') ?? '' }), honest]),
    says: /a second time/u,
  },
  'a file larger than the archive': {
    attack: before(rawEntry({ name: 'metadata/a', size: 8 ** 11 - 1 })),
    says: /the file ends before it does/u,
  },
  'a file of negative size': { attack: before(rawEntry({ name: 'metadata/a', size: '-0000000001\0' })), says: /in the place of a number/u },
  'a file of 2^95 bytes': {
    attack: before(rawEntry({ name: 'metadata/a', change: (header) => header.fill(0xff, 125, 136).writeUInt8(0x80, 124) })),
    says: /impossible size/u,
  },
  'a size that is no number': {
    attack: before(rawEntry({ name: 'metadata/a', size: 'zzzzzzzzzzz\0' })),
    says: /in the place of a number/u,
  },
  'a header with a wrong checksum': {
    attack: (honest) => Buffer.concat([honest.subarray(0, 9), Buffer.from('X'), honest.subarray(10)]),
    says: /checksum/u,
  },
  'an archive that is compressed': { attack: (honest) => gzipSync(honest), says: /no header of a POSIX tar entry|the file ends there/u },
  'an archive of the old form': {
    attack: before(rawEntry({ name: 'metadata/a', change: (header) => header.fill(0, 257, 265) })),
    says: /no header of a POSIX/u,
  },
  'an empty file': { attack: () => Buffer.alloc(0), says: /at byte 0, the file ends there/u },
  'an archive that is cut in a header': { attack: (honest) => honest.subarray(0, 700 - 512), says: /the file ends there/u },
  'an archive that is cut in a file': { attack: (honest) => honest.subarray(0, honest.length >> 1), says: /the file ends before it does/u },
  'an archive without its end': { attack: (honest) => honest.subarray(0, -1024), says: /the file ends there/u },
  'an archive with half of its end': { attack: (honest) => honest.subarray(0, -512), says: /the file ends there/u },
  'something behind the end': {
    attack: (honest) => Buffer.concat([honest, README]),
    twin: (honest) => Buffer.concat([honest, Buffer.alloc(10_240)]),
    says: /something follows the end/u,
  },
  'megabytes behind the end': { attack: (honest) => Buffer.concat([honest, Buffer.alloc((1 << 20) + 512)]), says: /bytes follow the end/u },
  'a timestamp that nobody signed': {
    attack: changed((files) => files.set('metadata/timestamp.json', Buffer.from('{"signed":{},"signatures":[]}'))),
    code: 'client/untrusted',
  },
  'a timestamp of a megabyte': {
    attack: changed((files) => files.set('metadata/timestamp.json', Buffer.alloc(1 << 20, ' '))),
    code: 'http/too-long',
  },
  'no timestamp': { attack: changed((files) => files.delete('metadata/timestamp.json')), code: 'http/missing' },
  'a snapshot with a flipped bit': {
    attack: changed((files) => {
      const bytes = Buffer.from(files.get('metadata/2.snapshot.json') ?? []);
      bytes.writeUInt8(bytes.readUInt8(bytes.length - 20) ^ 1, bytes.length - 20);
      files.set('metadata/2.snapshot.json', bytes);
    }),
    code: 'client/untrusted',
  },
  'an image of other bytes': {
    attack: changed((files, { simulator }) =>
      files.set(simulator.targetFile(IMAGE), Buffer.alloc(files.get(simulator.targetFile(IMAGE))?.length ?? 0)),
    ),
    code: 'client/target-altered',
  },
  'an image that is longer': {
    attack: changed((files, { simulator }) =>
      files.set(simulator.targetFile(IMAGE), Buffer.concat([files.get(simulator.targetFile(IMAGE)) ?? Buffer.alloc(0), Buffer.from('x')])),
    ),
    code: 'http/too-long',
  },
  'an image that is shorter': {
    attack: changed((files, { simulator }) => files.set(simulator.targetFile(IMAGE), Buffer.from('x'))),
    code: 'http/too-short',
  },
  'no image': { attack: changed((files, { simulator }) => files.delete(simulator.targetFile(IMAGE))), code: 'http/missing' },
};

/** Nobody publishes anew here. */
const simulator = await publishedImage();

async function use(client: RepositoryClient): Promise<void> {
  await client.refresh();
  assert.deepEqual(await drain(client.verifiedImageStream(await client.target(IMAGE))), RAW);
}

async function refuse(t: TestContext, { attack, code = 'client/bad-bundle', says }: Attack): Promise<void> {
  const scene = await bundleScene(t, simulator);
  const hostile = attack(tarOf(scene.files()), scene);
  for (let round = 0; round < 2; round += 1) {
    await assert.rejects((async () => use(await scene.open(hostile)))(), (error) => {
      assert.ok(isGantryError(error), String(error));
      assert.equal(error.code, code, error.message);
      if (says !== undefined) assert.match(error.message, says);
      return true;
    });
  }
  assert.deepEqual(
    (await readdir(scene.directory)).toSorted().filter((name) => name !== 'state'),
    ['update.tar'],
  );
  if (code === 'client/bad-bundle') assert.deepEqual(await stateFiles(scene.stateDirectory).catch(() => []), []);
}

for (const [name, entry] of Object.entries(ATTACKS)) {
  test(`bundles: ${name} is refused, and the bundle without it is accepted`, async (t) => {
    await refuse(t, entry);
    const scene = await bundleScene(t, simulator);
    const honest = tarOf(scene.files());
    await use(await scene.open(entry.twin?.(honest, scene) ?? honest));
  });
}

test('bundles: a count of entries beyond every repository is refused in bounded time', async (t) => {
  const { open } = await bundleScene(t, simulator);
  const entries = Array.from({ length: 200_001 }, (_, index) => `metadata/${index}`);
  const template = rawEntry({ name: 'metadata/000000000' });
  const block = Buffer.concat(
    entries.map((name) => {
      const header = Buffer.from(template);
      header.fill(0, 0, 100).write(name, 0);
      let sum = 8 * 32;
      for (let index = 0; index < 512; index += 1) if (index < 148 || index >= 156) sum += header[index] ?? 0;
      header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
      return header;
    }),
  );
  const start = performance.now();
  await assert.rejects(open(Buffer.concat([block, TAR_END])), { code: 'client/bad-bundle', message: /more than 200000 entries/u });
  assert.ok(performance.now() - start < 60_000);
});

test('bundles: one that is replaced after it was opened is refused', async (t) => {
  const scene = await bundleScene(t, simulator);
  const honest = tarOf(scene.files());
  const client = await scene.open(honest);
  await client.refresh();
  await scene.open(Buffer.concat([honest, TAR_END]));
  await assert.rejects(drain(client.verifiedStream(await client.target(IMAGE))), { code: 'files/changed' });
});
