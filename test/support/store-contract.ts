/**
 * What every store promises, whatever it is made of: the same tests for a directory, for memory and for real object stores.
 *
 * `make` gives a fresh, empty store to each test.
 */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { isGantryError } from '../../lib/errors.ts';
import { parseStorePath } from '../../lib/store/path.ts';
import { bytesSource } from '../../lib/store/source.ts';
import type { ByteSource, Expect, ObjectInfo, Store, StorePath, StoreVersion, WriteOptions } from '../../lib/store/store.ts';
import { collect, imageBytes, inChunks } from './bytes.ts';

export interface StoreUnderTest {
  readonly store: Store;
  /** What writes of this path that came to nothing have left, other than objects: none, or the store is not tidy. */
  readonly leftovers: (path: StorePath) => Promise<readonly string[]>;
}

export interface StoreKind {
  /** `a directory`, `in memory`. */
  readonly name: string;
  /** An ETag is a digest of the bytes; where it is more, what was replaced by equal bytes is another version. */
  readonly versionOfEqualBytes: 'equal' | 'other';
  /** How many objects to list: more than it lists at once. */
  readonly listedObjects: number;
  /** What a cancelled large write has sent is kept for the next try, or not. */
  readonly cancelled: 'kept' | 'removed';
  readonly make: (t: TestContext) => Promise<StoreUnderTest>;
}

const PATH = parseStorePath('metal/x86_64/timestamp.json');
const LARGE = parseStorePath('targets/large.img');
const MIB = 1 << 20;
const CHUNK_BYTES = 64 << 10;
const WRITERS = 8;
const ROUNDS = 20;

export function testStoreContract(kind: StoreKind): void {
  testReadingBack(kind);
  testConditions(kind);
  testRaces(kind);
  testSources(kind);
  testListing(kind);
}

function options(expect: Expect = 'absent', signal?: AbortSignal): WriteOptions {
  return { expect, cacheClass: 'revalidate', contentType: 'application/json', ...(signal === undefined ? {} : { signal }) };
}

async function put(store: Store, text: string, expect: Expect, path: StorePath = PATH): Promise<StoreVersion> {
  return store.write(path, bytesSource(Buffer.from(text)), options(expect));
}

async function textOf(store: Store): Promise<string> {
  return (await collect((await store.read(PATH)).body)).toString();
}

async function listed(store: Store, prefix: string): Promise<readonly ObjectInfo[]> {
  const found: ObjectInfo[] = [];
  for await (const info of store.list(prefix)) found.push(info);
  return found;
}

/** A listing need not know the digest. */
function withoutDigest({ path, lengthBytes, version }: ObjectInfo): ObjectInfo {
  return { path, lengthBytes, version };
}

async function refuteTraces({ store, leftovers }: StoreUnderTest): Promise<void> {
  assert.deepEqual(await listed(store, ''), []);
  for (const path of [PATH, LARGE]) assert.deepEqual(await leftovers(path), []);
}

/** The source of what `bytes` are said to be, which gives `given` instead. */
function lyingSource(bytes: Uint8Array, given: Uint8Array): ByteSource {
  return { ...bytesSource(bytes), open: () => inChunks(given, CHUNK_BYTES) };
}

function testReadingBack({ name, make }: StoreKind): void {
  test(`a store keeps what was written when it is ${name}`, async (t) => {
    const { store } = await make(t);
    await assert.rejects(store.read(PATH), { code: 'store/missing', details: { path: PATH } });
    assert.equal(await store.head(PATH), undefined);
    const seen: number[] = [];
    const source = bytesSource(Buffer.from('one'));
    const version = await store.write(PATH, source, { ...options(), onProgress: (bytes) => seen.push(bytes) });
    assert.deepEqual(seen, [3]);
    const { info, body } = await store.read(PATH);
    assert.equal((await collect(body)).toString(), 'one');
    assert.deepEqual(withoutDigest(info), { path: PATH, lengthBytes: 3, version });
    assert.deepEqual(await store.head(PATH), info);
    assert.ok(info.sha256 === undefined || info.sha256 === source.sha256, 'a digest that is kept is the right one');
    assert.deepEqual((await listed(store, 'metal/')).map(withoutDigest), [withoutDigest(info)]);
    assert.deepEqual(await listed(store, 'targets/'), []);
    await store.remove(PATH);
    await store.remove(PATH);
    assert.equal(await store.head(PATH), undefined);
    assert.deepEqual(await listed(store, ''), []);
  });

  for (const lengthBytes of [0, 4 * MIB - 1, 5 * MIB, 20 * MIB]) {
    test(`a store keeps an object of ${lengthBytes} bytes when it is ${name}`, async (t) => {
      const { store, leftovers } = await make(t);
      const bytes = imageBytes(lengthBytes);
      const seen: number[] = [0];
      const source = { ...bytesSource(bytes), open: () => inChunks(bytes, CHUNK_BYTES) };
      const version = await store.write(LARGE, source, { ...options(), onProgress: (count) => seen.push(count) });
      assert.deepEqual(
        seen,
        seen.toSorted((a, b) => a - b),
      );
      assert.equal(seen.at(-1), lengthBytes);
      const { info, body } = await store.read(LARGE);
      assert.deepEqual(withoutDigest(info), { path: LARGE, lengthBytes, version });
      assert.equal(Buffer.compare(await collect(body), bytes), 0);
      assert.deepEqual(await store.head(LARGE), info);
      assert.deepEqual(await leftovers(LARGE), []);
    });
  }
}

function testConditions({ name, versionOfEqualBytes, make }: StoreKind): void {
  test(`a store refuses a write that finds something else than it expects when it is ${name}`, async (t) => {
    const { store } = await make(t);
    const first = await put(store, 'one', 'absent');
    const details = { path: PATH, expected: 'nothing', found: `version ${first}` };
    await assert.rejects(put(store, 'two', 'absent'), { code: 'store/conflict', details });
    const second = await put(store, 'two', { version: first });
    const replaced = { path: PATH, expected: `version ${first}`, found: `version ${second}` };
    await assert.rejects(put(store, 'three', { version: first }), { code: 'store/conflict', details: replaced });
    assert.equal(await textOf(store), 'two');
    const again = await put(store, 'two', { version: second });
    assert.equal(again === second, versionOfEqualBytes === 'equal');
    await store.remove(PATH);
    const removed = { path: PATH, expected: `version ${again}`, found: 'nothing' };
    await assert.rejects(put(store, 'four', { version: again }), { code: 'store/conflict', details: removed });
    assert.deepEqual(await listed(store, ''), []);
  });

  for (const lengthBytes of [4 * MIB - 1, 20 * MIB]) {
    test(`a store refuses ${lengthBytes} bytes for a name that is taken when it is ${name}`, async (t) => {
      const { store, leftovers } = await make(t);
      const version = await put(store, 'one', 'absent');
      const source = bytesSource(imageBytes(lengthBytes));
      for (const expect of ['absent', { version: '"other"' as StoreVersion }] as const) {
        await assert.rejects(store.write(PATH, source, options(expect)), (error) => {
          assert.ok(isGantryError(error, 'store/conflict'), String(error));
          assert.equal(error.details.found, `version ${version}`);
          return true;
        });
      }
      assert.equal(await textOf(store), 'one');
      assert.deepEqual(await leftovers(PATH), []);
    });
  }
}

/** @returns the version of the only winner */
async function race(store: Store, bodies: readonly Uint8Array[], expect: Expect): Promise<StoreVersion> {
  const outcomes = await Promise.allSettled(bodies.map(async (body) => store.write(PATH, bytesSource(body), options(expect))));
  const winners = outcomes.flatMap((outcome, index) => (outcome.status === 'fulfilled' ? [{ index, version: outcome.value }] : []));
  const [winner] = winners;
  assert.equal(winners.length, 1);
  assert.ok(winner);
  const expected = expect === 'absent' ? 'nothing' : `version ${expect.version}`;
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled') continue;
    assert.equal(outcome.reason.code, 'store/conflict', String(outcome.reason));
    assert.deepEqual(outcome.reason.details, { path: PATH, expected, found: `version ${winner.version}` });
  }
  const { info, body } = await store.read(PATH);
  assert.equal(info.version, winner.version);
  assert.equal(Buffer.compare(await collect(body), Buffer.from(bodies[winner.index] ?? [])), 0);
  return winner.version;
}

function testRaces({ name, make }: StoreKind): void {
  test(`a store lets one of ${WRITERS} writers win, ${ROUNDS} times over, when it is ${name}`, async (t) => {
    const { store } = await make(t);
    const bodies = (round: string): readonly Buffer[] =>
      Array.from({ length: WRITERS }, (_, writer) => Buffer.from(`${round}, writer ${writer}`));
    for (let round = 0; round < ROUNDS; round += 1) {
      const version = await race(store, bodies(`create ${round}`), 'absent');
      await race(store, bodies(`replace ${round}`), { version });
      await store.remove(PATH);
    }
  });

  test(`a store lets one of ${WRITERS} writers of 5 MiB win when it is ${name}`, async (t) => {
    const { store, leftovers } = await make(t);
    const bodies = (round: string): readonly Buffer[] =>
      Array.from({ length: WRITERS }, (_, writer) => imageBytes(5 * MIB, `${round} ${writer}`));
    await race(store, bodies('replace'), { version: await race(store, bodies('create'), 'absent') });
    assert.deepEqual(await leftovers(PATH), []);
  });
}

function testSources({ name, make }: StoreKind): void {
  for (const lengthBytes of [3, 20 * MIB]) {
    test(`a store writes nothing when its source is not the ${lengthBytes} bytes it says and it is ${name}`, async (t) => {
      const under = await make(t);
      const bytes = imageBytes(lengthBytes);
      const other = Buffer.from(bytes);
      other.writeUInt8(other.readUInt8(1) ^ 1, 1);
      for (const given of [bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.alloc(1)]), other, Buffer.alloc(0)]) {
        const writing = under.store.write(PATH, lyingSource(bytes, given), options());
        await assert.rejects(writing, { code: 'store/source-changed', details: { path: PATH } });
      }
      await refuteTraces(under);
    });

    test(`a store throws what its source throws after ${lengthBytes} bytes when it is ${name}`, async (t) => {
      const under = await make(t);
      const bytes = imageBytes(lengthBytes);
      const broken = new RangeError('the disk broke');
      const source: ByteSource = {
        ...bytesSource(Buffer.concat([bytes, bytes])),
        async *open() {
          yield* inChunks(bytes, CHUNK_BYTES);
          throw broken;
        },
      };
      await assert.rejects(under.store.write(PATH, source, options()), (error) => error === broken);
      await refuteTraces(under);
    });
  }
}

/** Apart from the rest, since not every double in memory can be cancelled. */
export function testCancelling({ name, cancelled, make }: StoreKind): void {
  test(`a store leaves nothing when a write was cancelled before it began and it is ${name}`, async (t) => {
    const under = await make(t);
    for (const lengthBytes of [0, 3, 20 * MIB]) {
      const writing = under.store.write(LARGE, bytesSource(imageBytes(lengthBytes)), options('absent', AbortSignal.abort()));
      await assert.rejects(writing, { code: 'aborted' });
    }
    await refuteTraces(under);
  });

  test(`a store shows nothing when a large write is cancelled and it is ${name}`, async (t) => {
    const under = await make(t);
    const bytes = imageBytes(40 * MIB);
    // Within the first part, with parts on their way, and right before the end.
    for (const afterBytes of [MIB, 17 * MIB, 30 * MIB, 40 * MIB]) {
      const stop = new AbortController();
      const source: ByteSource = {
        ...bytesSource(bytes),
        async *open() {
          yield* inChunks(bytes.subarray(0, afterBytes), CHUNK_BYTES);
          stop.abort();
          yield* inChunks(bytes.subarray(afterBytes), CHUNK_BYTES);
        },
      };
      await assert.rejects(under.store.write(LARGE, source, options('absent', stop.signal)), { code: 'aborted' });
    }
    if (cancelled === 'kept') {
      assert.equal((await under.leftovers(LARGE)).length, 1);
      await under.store.write(LARGE, bytesSource(bytes), options('absent'));
      assert.deepEqual(await collect((await under.store.read(LARGE)).body), Buffer.from(bytes));
      await under.store.remove(LARGE);
    }
    await refuteTraces(under);
  });
}

function testListing({ name, listedObjects, make }: StoreKind): void {
  test(`a store lists ${listedObjects} objects, and those of a prefix, when it is ${name}`, async (t) => {
    const { store } = await make(t);
    const paths = Array.from({ length: listedObjects }, (_, index) => parseStorePath(`targets/${index}.a+b_c-d.img`));
    const waiting = [...paths];
    const work = async (): Promise<void> => {
      for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) await put(store, path, 'absent', path);
    };
    await Promise.all([work(), work(), work(), work(), work(), work(), work(), work(), put(store, 'one', 'absent')]);
    const pathsOf = async (prefix: string): Promise<readonly string[]> => (await listed(store, prefix)).map(({ path }) => path).toSorted();
    assert.deepEqual(await pathsOf(''), [PATH, ...paths].toSorted());
    assert.deepEqual(await pathsOf('targets/'), paths.toSorted());
    assert.deepEqual(await pathsOf('targets/1'), paths.filter((path) => path.startsWith('targets/1')).toSorted());
    assert.deepEqual(await pathsOf('met'), [PATH]);
    assert.deepEqual(await pathsOf('nothing'), []);
  });
}
