import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isGantryError } from '../../lib/errors.ts';
import { findFileSystem } from '../../lib/image/file-system.ts';
import { readGpt, type Gpt } from '../../lib/image/gpt.ts';
import { partitionSet, partitionsOfSet, setFindings } from '../../lib/image/partition-roles.ts';
import { encodeDisk, readerOf, type TableEntry } from '../support/gpt.ts';

const TYPES = [
  '6b636168-7420-6568-2070-6c616e657421',
  '5526016a-1a97-4ea4-b39a-b7c8c6ca4502',
  '598f10af-c955-4456-6a99-7720068a6cea',
  '0c5d99a5-d331-4147-baef-08e2b855bdc9',
  '440408bb-eb0b-4328-a6e5-a29038fad706',
];
const SECTORS = 1024;
const entry: fc.Arbitrary<TableEntry> = fc.record({
  type: fc.constantFrom(...TYPES),
  first: fc.integer({ min: 0, max: SECTORS + 100 }),
  last: fc.integer({ min: 0, max: SECTORS + 100 }),
  attributes: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  name: fc.string({ unit: 'binary', maxLength: 18 }),
});
/** Partitions one behind the other. */
const goodEntries: fc.Arbitrary<readonly TableEntry[]> = fc
  .array(fc.record({ sectors: fc.integer({ min: 1, max: 40 }), gap: fc.nat(20), type: fc.constantFrom(...TYPES) }), {
    maxLength: 12,
  })
  .map((list) => {
    let next = 40;
    return list.map(({ sectors, gap, type }, index) => {
      const first = next + gap;
      next = first + sectors;
      return { type, first, last: next - 1, name: `part ${index}` };
    });
  });

async function attempt(disk: Uint8Array): Promise<Gpt | undefined> {
  try {
    return await readGpt(readerOf(disk), disk.length);
  } catch (error) {
    assert.ok(isGantryError(error, 'image/bad-gpt'), String(error));
    return undefined;
  }
}

test('readGpt() gives back any partitions that lie one behind the other, and finds nothing', async () => {
  await fc.assert(
    fc.asyncProperty(goodEntries, fc.constantFrom(512, 4096), async (entries, sectorBytes) => {
      const gpt = await attempt(encodeDisk({ entries, sectors: SECTORS, sectorBytes }));
      assert.deepEqual(gpt?.findings, []);
      const found = gpt.partitions.map(({ typeGuid, firstSector, lastSector, name }) => ({
        type: typeGuid,
        first: firstSector,
        last: lastSector,
        name,
      }));
      assert.deepEqual(found, entries);
    }),
  );
});

test('readGpt() finds every overlap, whatever the partitions are', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 6 }), async (entries) => {
      const gpt = await attempt(encodeDisk({ entries, sectors: SECTORS }));
      assert.equal(
        gpt === undefined,
        entries.some(({ first, last }) => last < first),
      );
      const overlaps = entries.some((a, index) => entries.some((b, other) => other > index && a.first <= b.last && b.first <= a.last));
      assert.equal(gpt?.findings.some(({ rule }) => rule === 'gpt-overlap') ?? false, gpt !== undefined && overlaps);
    }),
  );
});

test('readGpt() and the search for sets give an answer or one of our errors, in time, whatever is on the disk', async () => {
  const overwritten = fc.tuple(
    fc.array(entry, { maxLength: 8 }),
    fc.array(
      fc.tuple(
        fc.oneof(fc.nat(2047), fc.nat(SECTORS * 512 - 1), fc.integer({ min: (SECTORS - 1) * 512, max: SECTORS * 512 - 1 })),
        fc.nat(255),
      ),
      {
        maxLength: 6,
      },
    ),
    fc.integer({ min: 1, max: SECTORS * 512 }),
  );
  const damaged = overwritten.map(([entries, writes, length]) => {
    const disk = encodeDisk({ entries, sectors: SECTORS });
    for (const [at, value] of writes) disk[at] = value;
    return disk.subarray(0, length);
  });
  const hostile = fc
    .tuple(fc.uint8Array({ minLength: 92, maxLength: 92 }), fc.nat(91))
    .map(([random, kept]) =>
      encodeDisk({ sectors: SECTORS, header: (bytes) => void Buffer.from(random).copy(bytes, Math.max(16, kept), Math.max(16, kept)) }),
    );
  const started = performance.now();
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(fc.oneof(damaged, hostile, fc.uint8Array({ maxLength: 5000 })), async (disk) => {
      runs += 1;
      const gpt = await attempt(disk);
      for (const partition of gpt?.partitions ?? []) partitionSet(partition, gpt?.partitions ?? []);
      for (const set of ['A', 'B'] as const) {
        try {
          if (gpt !== undefined) setFindings(partitionsOfSet(gpt.partitions, set), set);
        } catch (error) {
          assert.ok(isGantryError(error, 'image/bad-partitions'), String(error));
        }
      }
    }),
    { numRuns: 300 },
  );
  assert.ok((performance.now() - started) / runs < 100, 'a table takes more than a tenth of a second');
});

test('findFileSystem() gives an answer of possible sizes whatever stands behind a magic number', () => {
  const magics: readonly (readonly [at: number, bytes: string])[] = [
    [1024 + 0x38, '53ef'],
    [1024, 'e2e1f5e0'],
    [0, '68737173'],
  ];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5000 }), fc.constantFrom(...magics), fc.boolean(), (random, [at, magic], isSparse) => {
      const head = Buffer.from(random);
      if (isSparse) for (let index = 0; index < head.length; index += 1) if (index % 7 !== 0) head[index] = 0;
      if (head.length > at + 4) head.write(magic, at, 'hex');
      const found = findFileSystem(head);
      if (found === undefined) return;
      assert.ok(Number.isSafeInteger(found.lengthBytes) && found.lengthBytes > 0 && found.blockBytes >= 512);
      assert.ok((found.freeBytes ?? 0) <= found.lengthBytes);
    }),
    { numRuns: 2000 },
  );
});
