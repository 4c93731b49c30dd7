/** Partition tables: made here, with every way to be wrong, and by the tools of the machine. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { readGpt, type Gpt } from '../../lib/image/gpt.ts';
import { PLAN, partitionDisk } from '../support/disk-image.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { encodeDisk, readerOf, ROOT_TYPE, type TableEntry } from '../support/gpt.ts';
import { requireTool } from '../support/tools.ts';

const run = promisify(execFile);
const TWO: readonly TableEntry[] = [
  { first: 40, last: 47, name: 'one', attributes: 0x0101_0000_0000_0000n },
  { first: 48, last: 99, name: 'zwei – 二 𝄞' },
];

async function read(disk: Uint8Array): Promise<Gpt> {
  return readGpt(readerOf(disk), disk.length);
}

function rulesOf({ findings }: Gpt): readonly string[] {
  return findings.map(({ rule, severity }) => `${severity} ${rule}`);
}

for (const sectorBytes of [512, 4096]) {
  test(`readGpt() reads a table with sectors of ${sectorBytes} bytes`, async () => {
    const gpt = await read(encodeDisk({ sectorBytes, entries: TWO }));
    assert.deepEqual(gpt.partitions, [
      {
        number: 1,
        typeGuid: ROOT_TYPE,
        guid: '00000000-0000-4000-8000-000000000001',
        name: 'one',
        attributes: 0x0101_0000_0000_0000n,
        firstSector: 40,
        lastSector: 47,
        position: 40 * sectorBytes,
        lengthBytes: 8 * sectorBytes,
      },
      {
        number: 2,
        typeGuid: ROOT_TYPE,
        guid: '00000000-0000-4000-8000-000000000002',
        name: 'zwei – 二 𝄞',
        attributes: 0n,
        firstSector: 48,
        lastSector: 99,
        position: 48 * sectorBytes,
        lengthBytes: 52 * sectorBytes,
      },
    ]);
    assert.equal(gpt.diskGuid, '11111111-2222-3333-4444-555555555555');
    assert.deepEqual([gpt.sectorBytes, gpt.copy.which, gpt.findings], [sectorBytes, 'primary', []]);
  });

  test(`readGpt() goes on with the backup, and says why, when the primary table of a disk with sectors of ${sectorBytes} bytes is damaged`, async () => {
    const whole = await read(encodeDisk({ sectorBytes, entries: TWO }));
    for (const [at, why] of [
      [sectorBytes, /signature: sector 1 begins with/u],
      [sectorBytes + 60, /header CRC: it is [0-9a-f]{8}; expected [0-9a-f]{8}/u],
      [2 * sectorBytes + 57, /CRC of the entries: it is/u],
    ] as const) {
      const disk = encodeDisk({ sectorBytes, entries: TWO });
      disk[at] = (disk[at] ?? 0) ^ 0xff;
      const gpt = await read(disk);
      assert.deepEqual(gpt.partitions, whole.partitions);
      assert.equal(gpt.copy.which, 'backup');
      assert.deepEqual(rulesOf(gpt), ['error gpt-primary-damaged']);
      assert.match(gpt.findings[0]?.message ?? '', why);
      assert.match(gpt.findings[0]?.message ?? '', /the backup table is whole$/u);
    }
  });
}

test('readGpt() finds the backup although the first sectors are gone', async () => {
  const disk = encodeDisk({ entries: TWO });
  disk.fill(0, 0, 34 * 512);
  const gpt = await read(disk);
  assert.equal(gpt.partitions.length, 2);
  assert.deepEqual(rulesOf(gpt), ['error gpt-primary-damaged', 'error gpt-no-mbr']);
});

test('readGpt() says what is wrong with the backup', async () => {
  const disk = encodeDisk({ entries: TWO });
  disk.fill(0, disk.length - 512);
  const gpt = await read(disk);
  assert.equal(gpt.copy.which, 'primary');
  assert.deepEqual(rulesOf(gpt), ['error gpt-backup-damaged']);
  const cut = await read(disk.subarray(0, disk.length - 33 * 512));
  assert.deepEqual(rulesOf(cut), ['error gpt-backup-damaged']);
  assert.match(cut.findings[0]?.message ?? '', /sector 2047 is not there/u);
});

test('readGpt() says that the disk was cut within a partition, or grew', async () => {
  const entries = [{ first: 40, last: 2000 }];
  assert.deepEqual(rulesOf(await read(encodeDisk({ entries }).subarray(0, 1000 * 512))), [
    'error gpt-backup-damaged',
    'error gpt-beyond-disk',
  ]);
  const grown = await read(Buffer.concat([encodeDisk({ entries }), Buffer.alloc(512)]));
  assert.deepEqual(rulesOf(grown), ['warning gpt-backup-place']);
  assert.match(grown.findings[0]?.message ?? '', /in sector 2047; expected the last one, 2048/u);
});

test('readGpt() says that two whole copies differ', async () => {
  const [one, other] = [encodeDisk({ entries: TWO }), encodeDisk({ entries: TWO.slice(1) })];
  const middle = 1000 * 512;
  const gpt = await read(Buffer.concat([one.subarray(0, middle), other.subarray(middle)]));
  assert.equal(gpt.partitions.length, 2);
  assert.deepEqual(rulesOf(gpt), ['error gpt-copies-differ']);
});

for (const [what, entries, rules] of [
  [
    'overlap by a sector',
    [
      { first: 40, last: 48 },
      { first: 48, last: 50 },
    ],
    ['error gpt-overlap'],
  ],
  [
    'lie in each other',
    [
      { first: 40, last: 90 },
      { first: 45, last: 46 },
      { first: 80, last: 85 },
    ],
    ['error gpt-overlap', 'error gpt-overlap'],
  ],
  [
    'touch',
    [
      { first: 48, last: 50 },
      { first: 40, last: 47 },
    ],
    [],
  ],
  ['begin within the table', [{ first: 20, last: 50 }], ['error gpt-outside']],
  ['end within the backup table', [{ first: 40, last: 2030 }], ['error gpt-outside']],
  ['end behind the disk', [{ first: 40, last: 4000 }], ['error gpt-beyond-disk']],
  [
    'have one GUID',
    [
      { first: 40, last: 50, guid: ROOT_TYPE },
      { first: 51, last: 60, guid: ROOT_TYPE },
    ],
    ['error gpt-same-guid'],
  ],
] as const) {
  test(`readGpt() finds ${rules.length === 0 ? 'nothing' : rules.join(', ')} when partitions ${what}`, async () => {
    assert.deepEqual(rulesOf(await read(encodeDisk({ entries }))), rules);
  });
}

test('readGpt() says that the MBR is missing, and that the table lies where partitions may', async () => {
  const disk = encodeDisk();
  disk[450] = 0x83;
  assert.deepEqual(rulesOf(await read(disk)), ['error gpt-no-mbr']);
  const inside = await read(encodeDisk({ header: (header) => header.writeBigUInt64LE(3n, 40) }));
  assert.deepEqual(rulesOf(inside), ['error gpt-bad-range']);
});

test('readGpt() keeps the number of an entry behind empty ones, and takes entries of 256 bytes', async () => {
  const empty = { type: '00000000-0000-0000-0000-000000000000', first: 0, last: 0 };
  const gpt = await read(encodeDisk({ entries: [empty, empty, ...TWO], entryBytes: 256, entryCount: 9 }));
  assert.deepEqual(
    gpt.partitions.map(({ number, name }) => [number, name]),
    [
      [3, 'one'],
      [4, 'zwei – 二 𝄞'],
    ],
  );
});

for (const [at, change] of [
  ['header length', (header) => header.writeUInt32LE(91, 12)],
  ['header length', (header) => header.writeUInt32LE(513, 12)],
  ['revision', (header) => header.writeUInt32LE(0x20000, 8)],
  ['own sector', (header) => header.writeBigUInt64LE(7n, 24)],
  ['own sector', (header) => header.writeBigUInt64LE(2n ** 63n, 24)],
  ['sector of the other header', (header) => header.writeBigUInt64LE(2n ** 64n - 1n, 32)],
  ['first usable sector', (header) => header.writeBigUInt64LE(2n ** 40n, 40)],
  ['first sector of the entries', (header) => header.writeBigUInt64LE(2n ** 53n, 72)],
  ['entries', (header) => header.writeBigUInt64LE(2n ** 39n, 72)],
  ['number of entries', (header) => header.writeUInt32LE(0, 80)],
  ['number of entries', (header) => header.writeUInt32LE(2 ** 32 - 1, 80)],
  ['entry length', (header) => header.writeUInt32LE(64, 84)],
  ['entry length', (header) => header.writeUInt32LE(192, 84)],
  ['entry length', (header) => header.writeUInt32LE(8192, 84)],
  ['CRC of the entries', (header) => header.writeUInt32LE(0, 88)],
] satisfies readonly (readonly [string, (header: Buffer) => unknown])[]) {
  test(`readGpt() refuses both copies by their ${at} when ${change.toString().replace(/^.*?=> /u, '')}`, async () => {
    const header = (bytes: Buffer): void => void change(bytes);
    await assert.rejects(read(encodeDisk({ header })), { code: 'image/bad-gpt', details: { at } });
  });
}

for (const [at, entry] of [
  ['partition 1', { first: 50, last: 40 }],
  ['last sector of partition 1', { first: 50, last: 2 ** 41 }],
] as const) {
  test(`readGpt() refuses a table by the ${at} when it has sectors ${entry.first} to ${entry.last}`, async () => {
    await assert.rejects(read(encodeDisk({ entries: [entry] })), { code: 'image/bad-gpt', details: { at } });
  });
}

test('readGpt() says image/bad-gpt of what has no table', async () => {
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(1), Buffer.alloc(511), Buffer.alloc(1 << 20), Buffer.alloc(100_000, 'EFI PART')]) {
    await assert.rejects(read(bytes), { code: 'image/bad-gpt' });
  }
});

interface SfdiskTable {
  readonly partitiontable: {
    readonly id: string;
    readonly firstlba: number;
    readonly lastlba: number;
    readonly partitions: readonly Readonly<Record<'start' | 'size', number> & Record<'type' | 'uuid' | 'name', string>>[];
  };
}

test('readGpt() reads what sgdisk wrote as sfdisk, sgdisk and cgpt do', async (t) => {
  if (!['sgdisk', 'sfdisk', 'cgpt'].every((tool) => requireTool(t, tool))) return;
  const path = join(await temporaryDirectory(t), 'disk.img');
  await partitionDisk(path);
  const gpt = await read(await readFile(path));
  assert.deepEqual(gpt.findings, []);
  const { partitiontable }: SfdiskTable = JSON.parse((await run('sfdisk', ['--json', path])).stdout);
  const { header } = gpt.copy;
  assert.deepEqual(
    [gpt.diskGuid, header.firstUsableSector, header.lastUsableSector],
    [partitiontable.id.toLowerCase(), partitiontable.firstlba, partitiontable.lastlba],
  );
  assert.deepEqual(
    gpt.partitions.map((one) => [one.name, one.typeGuid, one.guid, one.firstSector, one.lengthBytes / 512]),
    partitiontable.partitions.map(({ name, type, uuid, start, size }) => [name, type.toLowerCase(), uuid.toLowerCase(), start, size]),
  );
  assert.deepEqual(
    gpt.partitions.map(({ name }) => name),
    PLAN.map(({ name }) => name),
  );
  for (const partition of gpt.partitions) {
    const { stdout } = await run('sgdisk', [`--info=${partition.number}`, path]);
    assert.match(stdout, new RegExp(`Attribute flags: ${partition.attributes.toString(16).padStart(16, '0')}`, 'iu'));
    const shown = async (flag: string): Promise<string> =>
      (await run('cgpt', ['show', '-i', String(partition.number), flag, path])).stdout.trim();
    assert.deepEqual(
      [await shown('-l'), await shown('-b'), await shown('-s'), (await shown('-t')).toLowerCase(), (await shown('-u')).toLowerCase()],
      [partition.name, String(partition.firstSector), String(partition.lengthBytes / 512), partition.typeGuid, partition.guid],
    );
  }
});

test('readGpt() finds what sgdisk --verify finds', async (t) => {
  if (!requireTool(t, 'sgdisk')) return;
  const path = join(await temporaryDirectory(t), 'disk.img');
  await partitionDisk(path);
  const disk = await readFile(path);
  const verified = async (bytes: Uint8Array): Promise<string> => {
    await writeFile(path, bytes);
    const { stdout, stderr } = await run('sgdisk', ['--verify', path]).catch((error: { stdout: string; stderr: string }) => error);
    return stdout + stderr;
  };
  for (const [at, theirs, rule] of [
    [512 + 60, 'Main header: ERROR', 'gpt-primary-damaged'],
    [1024 + 60, 'Main partition table: ERROR', 'gpt-primary-damaged'],
    [disk.length - 512 + 60, 'Backup header: ERROR', 'gpt-backup-damaged'],
    [disk.length - 33 * 512 + 60, 'Backup partition table: ERROR', 'gpt-backup-damaged'],
  ] as const) {
    const damaged = Buffer.from(disk);
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    assert.ok((await verified(damaged)).includes(theirs), theirs);
    assert.deepEqual(rulesOf(await read(damaged)), [`error ${rule}`]);
  }
  const entries = [
    { first: 40, last: 48 },
    { first: 48, last: 50 },
  ];
  assert.match(await verified(encodeDisk({ entries })), /partitions 2 and 1 overlap/u);
  assert.match(await verified(encodeDisk({ entries: TWO })), /No problems found/u);
});
