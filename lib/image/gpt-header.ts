/**
 * One header of a GUID partition table (UEFI 2.10 §5.3.2), primary or backup; little-endian:
 *
 *   offset  bytes  what
 *        0      8  "EFI PART"
 *        8      4  revision, 1.0
 *       12      4  bytes of the header, 92 at least
 *       16      4  CRC-32 of the header with this field as zero
 *       24      8  sector of this header
 *       32      8  sector of the other one
 *       40      8  first sector of partitions
 *       48      8  last sector of partitions
 *       56     16  GUID of the disk
 *       72      8  first sector of the entries
 *       80      4  number of entries
 *       84      4  bytes of an entry: 128, 256, 512, …
 *       88      4  CRC-32 of the entries
 *
 * Rules:
 * - a header whose CRC is wrong says nothing: not even where the other one is;
 * - what it says is bounded before anything is read or allocated for it.
 */
import { crc32 } from 'node:zlib';
import { GantryError, quote } from '../errors.ts';
import { formatGuid } from './guid.ts';

const SIGNATURE = 'EFI PART';
const REVISION = 0x0001_0000;
const HEADER_MIN_BYTES = 92;
const ENTRY_MIN_BYTES = 128;
const ENTRY_MAX_BYTES = 4096;
const ENTRIES_MAX = 1024;
/** No disk has more, and a position in bytes stays a safe integer. */
const SECTORS_MAX = 2n ** 40n;

export interface GptHeader {
  readonly sectorBytes: number;
  /** Sectors are counted from 0, the first one of the disk. */
  readonly sector: number;
  /** Of the other header. */
  readonly otherSector: number;
  readonly firstUsableSector: number;
  /** The last one that a partition may have. */
  readonly lastUsableSector: number;
  readonly diskGuid: string;
  readonly entriesSector: number;
  readonly entries: number;
  readonly entryBytes: number;
  readonly entriesCrc32: number;
}

/**
 * @param bytes the sector, or as much of it as there is
 * @throws GantryError `image/bad-gpt`
 */
export function parseGptHeader(bytes: Uint8Array, place: { readonly sectorBytes: number; readonly sector: number }): GptHeader {
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (header.length < place.sectorBytes) throw badGpt('length', `sector ${place.sector} is not there: the disk ends before its end`);
  const signature = header.toString('latin1', 0, 8);
  if (signature !== SIGNATURE) throw badGpt('signature', `sector ${place.sector} begins with ${quote(signature)}; expected "${SIGNATURE}"`);
  expectRange('header length', header.readUInt32LE(12), HEADER_MIN_BYTES, place.sectorBytes);
  refuseCrc(header);
  const revision = header.readUInt32LE(8);
  if (revision !== REVISION) throw badGpt('revision', `it is ${revision.toString(16)}; expected ${REVISION.toString(16)}`);
  const sector = sectorAt(header, 24, 'own sector');
  if (sector !== place.sector) throw badGpt('own sector', `it says that it is in sector ${sector}; expected ${place.sector}`);
  const entryBytes = header.readUInt32LE(84);
  expectRange('entry length', entryBytes, ENTRY_MIN_BYTES, ENTRY_MAX_BYTES);
  if ((entryBytes & (entryBytes - 1)) !== 0) throw badGpt('entry length', `it is ${entryBytes}; expected a power of two`);
  expectRange('number of entries', header.readUInt32LE(80), 1, ENTRIES_MAX);
  return {
    ...place,
    otherSector: sectorAt(header, 32, 'sector of the other header'),
    firstUsableSector: sectorAt(header, 40, 'first usable sector'),
    lastUsableSector: sectorAt(header, 48, 'last usable sector'),
    diskGuid: formatGuid(header.subarray(56, 72)),
    entriesSector: sectorAt(header, 72, 'first sector of the entries'),
    entries: header.readUInt32LE(80),
    entryBytes,
    entriesCrc32: header.readUInt32LE(88),
  };
}

export function sectorAt(bytes: Buffer, offset: number, at: string): number {
  const sector = bytes.readBigUInt64LE(offset);
  if (sector >= SECTORS_MAX) throw badGpt(at, `it is ${sector}; expected less than ${SECTORS_MAX}`);
  return Number(sector);
}

export function badGpt(at: string, problem: string): GantryError<'image/bad-gpt'> {
  return new GantryError('image/bad-gpt', `Cannot read a partition table: ${at}: ${problem}`, { at });
}

function refuseCrc(header: Buffer): void {
  const stated = header.readUInt32LE(16);
  const cleared = Buffer.from(header.subarray(0, header.readUInt32LE(12)));
  cleared.writeUInt32LE(0, 16);
  const found = crc32(cleared);
  if (found !== stated) throw badGpt('header CRC', `it is ${hex(found)}; expected ${hex(stated)}, which the header says`);
}

function expectRange(at: string, found: number, min: number, max: number): void {
  if (found < min || found > max) throw badGpt(at, `it is ${found}; expected ${min} to ${max}`);
}

/** A CRC as tools print it. */
export function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0');
}
