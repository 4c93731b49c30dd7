/** The entries of a GUID partition table (UEFI 2.10 §5.3.3). */
import { badGpt, sectorAt, type GptHeader } from './gpt-header.ts';
import { formatGuid, GUID_BYTES } from './guid.ts';

const UNUSED = '00000000-0000-0000-0000-000000000000';
const NAME_OFFSET = 56;
const NAME_BYTES = 72;

export interface GptPartition {
  /** As tools count: 1 is the first entry, used or not. */
  readonly number: number;
  /** Lowercase. */
  readonly typeGuid: string;
  readonly guid: string;
  /** Up to 36 characters, whatever they are. */
  readonly name: string;
  /** 64 bits; what 48 to 63 mean is up to the type. */
  readonly attributes: bigint;
  readonly firstSector: number;
  readonly lastSector: number;
  /** In bytes, from the start of the disk. */
  readonly position: number;
  readonly lengthBytes: number;
}

/** @throws GantryError `image/bad-gpt` */
export function parseGptEntries(
  bytes: Uint8Array,
  { entries, entryBytes, sectorBytes }: Pick<GptHeader, 'entries' | 'entryBytes' | 'sectorBytes'>,
): readonly GptPartition[] {
  const array = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const partitions: GptPartition[] = [];
  for (let number = 1; number <= entries; number += 1) {
    const entry = array.subarray((number - 1) * entryBytes, number * entryBytes);
    const typeGuid = formatGuid(entry.subarray(0, GUID_BYTES));
    if (typeGuid === UNUSED) continue;
    const firstSector = sectorAt(entry, 32, `first sector of partition ${number}`);
    const lastSector = sectorAt(entry, 40, `last sector of partition ${number}`);
    if (lastSector < firstSector) {
      throw badGpt(`partition ${number}`, `it ends in sector ${lastSector}, before it begins; expected ${firstSector} or more`);
    }
    partitions.push({
      number,
      typeGuid,
      guid: formatGuid(entry.subarray(GUID_BYTES, 2 * GUID_BYTES)),
      name: nameOf(entry),
      attributes: entry.readBigUInt64LE(48),
      firstSector,
      lastSector,
      position: firstSector * sectorBytes,
      lengthBytes: (lastSector - firstSector + 1) * sectorBytes,
    });
  }
  return partitions;
}

/** UTF-16, up to the first zero. */
function nameOf(entry: Buffer): string {
  const [name = ''] = entry.toString('utf16le', NAME_OFFSET, NAME_OFFSET + NAME_BYTES).split('\0', 1);
  return name.toWellFormed();
}
