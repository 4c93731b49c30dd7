/** Partition tables in memory, right or wrong as a test wants them. */
import { readFile, writeFile } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import type { ReadAt } from '../../lib/image/gpt.ts';

export interface TableEntry {
  readonly type?: string;
  readonly guid?: string;
  readonly first: number;
  readonly last: number;
  readonly attributes?: bigint;
  readonly name?: string;
}

export interface TableOptions {
  readonly sectorBytes?: number;
  readonly sectors?: number;
  readonly entries?: readonly TableEntry[];
  readonly entryCount?: number;
  readonly entryBytes?: number;
  /** Changes a header before its CRC is made. */
  readonly header?: (header: Buffer, which: 'primary' | 'backup') => void;
}

export const ROOT_TYPE = '5526016a-1a97-4ea4-b39a-b7c8c6ca4502';

/** A disk with both copies of its table, and nothing in its partitions. */
export function encodeDisk(options: TableOptions = {}): Buffer {
  const { sectorBytes = 512, sectors = 2048, entries = [], entryCount = 128, entryBytes = 128, header = () => undefined } = options;
  const disk = Buffer.alloc(sectors * sectorBytes);
  disk[450] = 0xee;
  disk.writeUInt16LE(0xaa55, 510);
  const array = Buffer.alloc(entryCount * entryBytes);
  entries.forEach((entry, index) => encodeEntry(entry, index).copy(array, index * entryBytes));
  const arraySectors = Math.ceil(array.length / sectorBytes);
  const copies = [
    { which: 'primary', sector: 1, other: sectors - 1, at: 2 },
    { which: 'backup', sector: sectors - 1, other: 1, at: sectors - 1 - arraySectors },
  ] as const;
  for (const { which, sector, other, at } of copies) {
    const bytes = Buffer.alloc(92);
    bytes.write('EFI PART', 'latin1');
    bytes.writeUInt32LE(0x10000, 8);
    bytes.writeUInt32LE(92, 12);
    bytes.writeBigUInt64LE(BigInt(sector), 24);
    bytes.writeBigUInt64LE(BigInt(other), 32);
    bytes.writeBigUInt64LE(BigInt(2 + arraySectors), 40);
    bytes.writeBigUInt64LE(BigInt(sectors - 2 - arraySectors), 48);
    guidBytes('11111111-2222-3333-4444-555555555555').copy(bytes, 56);
    bytes.writeBigUInt64LE(BigInt(at), 72);
    bytes.writeUInt32LE(entryCount, 80);
    bytes.writeUInt32LE(entryBytes, 84);
    bytes.writeUInt32LE(crc32(array), 88);
    header(bytes, which);
    bytes.writeUInt32LE(0, 16);
    bytes.writeUInt32LE(crc32(bytes), 16);
    bytes.copy(disk, sector * sectorBytes);
    array.copy(disk, at * sectorBytes);
  }
  return disk;
}

function encodeEntry({ type = ROOT_TYPE, guid, first, last, attributes = 0n, name = '' }: TableEntry, index: number): Buffer {
  const bytes = Buffer.alloc(128);
  guidBytes(type).copy(bytes, 0);
  guidBytes(guid ?? `00000000-0000-4000-8000-${String(index + 1).padStart(12, '0')}`).copy(bytes, 16);
  bytes.writeBigUInt64LE(BigInt(first), 32);
  bytes.writeBigUInt64LE(BigInt(last), 40);
  bytes.writeBigUInt64LE(attributes, 48);
  bytes.write(name, 56, 72, 'utf16le');
  return bytes;
}

function guidBytes(text: string): Buffer {
  const bytes = Buffer.from(text.replaceAll('-', ''), 'hex');
  for (const [from, to] of [
    [0, 4],
    [4, 6],
    [6, 8],
  ] as const) {
    bytes.subarray(from, to).reverse();
  }
  return bytes;
}

/** Reads bytes as a disk is read. */
export function readerOf(bytes: Uint8Array): ReadAt {
  return async (position, lengthBytes) => bytes.subarray(Math.min(position, bytes.length), Math.min(position + lengthBytes, bytes.length));
}

/** A disk image with one set of these images, without any tool; a boot image that is no file system fills its partition. */
export async function writeDiskOf(path: string, images: Readonly<Record<'boot' | 'root' | 'hash', string>>): Promise<void> {
  const types = {
    boot: '6b636168-7420-6568-2070-6c616e657421',
    root: ROOT_TYPE,
    hash: '598f10af-c955-4456-6a99-7720068a6cea',
  } as const;
  let next = 2048;
  const parts: (TableEntry & { readonly content: Buffer })[] = [];
  for (const image of ['boot', 'root', 'hash'] as const) {
    const content = await readFile(images[image]);
    const last = next + Math.ceil(content.length / 512) - 1;
    parts.push({ type: types[image], first: next, last, name: `BOTTLEROCKET-${image.toUpperCase()}-A`, content });
    next = last + 1;
  }
  const disk = encodeDisk({ entries: parts, sectors: next + 2048 });
  for (const { first, content } of parts) content.copy(disk, first * 512);
  await writeFile(path, disk);
}
