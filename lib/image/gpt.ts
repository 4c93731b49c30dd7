/**
 * The GUID partition table of a disk or of an image of one (UEFI 2.10 §5): read and checked, never repaired.
 *
 * Rules:
 * - a copy is believed when header and entries have their CRCs; the primary one before the backup;
 * - sectors have 512 or 4096 bytes: whichever finds a copy, 512 first;
 * - what is wrong with a table that can be read is a finding, and whoever uses the table decides: a publisher refuses, a host goes on with
 *   the copy that is whole, as GRUB and the kernel do;
 * - partitions keep their place among the entries: Bottlerocket tells set A from B by it.
 */
import { crc32 } from 'node:zlib';
import { isGantryError, type LintFinding } from '../errors.ts';
import { layoutFindings, protectiveMbrFindings } from './gpt-check.ts';
import { parseGptEntries, type GptPartition } from './gpt-entries.ts';
import { badGpt, hex, parseGptHeader, type GptHeader } from './gpt-header.ts';

/** Bytes of a disk; fewer where it ends, none behind its end. */
export type ReadAt = (position: number, lengthBytes: number) => Promise<Uint8Array>;

type Which = 'primary' | 'backup';

/** One of the two copies of the table. */
export interface GptCopy {
  readonly which: Which;
  readonly header: GptHeader;
  /** The array as it is on the disk. */
  readonly entries: Uint8Array;
}

export interface Gpt {
  readonly sectorBytes: number;
  readonly diskGuid: string;
  /** In the order of the entries; empty entries are left out. */
  readonly partitions: readonly GptPartition[];
  /** The copy that was believed. */
  readonly copy: GptCopy;
  /** What is wrong: with the other copy, and with what the table says. */
  readonly findings: readonly LintFinding[];
}

const SECTOR_SIZES = [512, 4096];
const PRIMARY_SECTOR = 1;

/**
 * @param diskBytes the length of the whole disk
 * @throws GantryError `image/bad-gpt` when no copy can be believed
 */
export async function readGpt(read: ReadAt, diskBytes: number): Promise<Gpt> {
  const primary = await findPrimary(read);
  const backup = await findBackup(read, diskBytes, primary);
  const copy = primary.copy ?? backup.copy;
  if (copy === undefined) throw primary.problem;
  const { sectorBytes, diskGuid } = copy.header;
  const partitions = parseGptEntries(copy.entries, copy.header);
  return {
    sectorBytes,
    diskGuid,
    partitions,
    copy,
    findings: [
      ...copyFindings(primary, backup),
      ...protectiveMbrFindings(await read(0, sectorBytes)),
      ...layoutFindings(copy.header, partitions, diskBytes),
    ],
  };
}

/** True when the bytes that a disk begins with hold the signature of a table, whether or not it can be believed. */
export function looksLikeGpt(head: Uint8Array): boolean {
  return SECTOR_SIZES.some((bytes) => Buffer.from(head.subarray(bytes, bytes + 8)).toString('latin1') === 'EFI PART');
}

type GptError = ReturnType<typeof badGpt>;

/** A copy, or why there is none; a header may be good where its entries are not. */
type Attempt =
  | { readonly copy: GptCopy; readonly header: GptHeader; readonly problem?: undefined }
  | { readonly copy?: undefined; readonly header?: GptHeader; readonly problem: GptError };

async function findPrimary(read: ReadAt): Promise<Attempt> {
  const attempts: Attempt[] = [];
  for (const sectorBytes of SECTOR_SIZES) {
    const attempt = await readCopy(read, 'primary', { sectorBytes, sector: PRIMARY_SECTOR });
    if (attempt.copy !== undefined) return attempt;
    attempts.push(attempt);
  }
  const [first, ...others] = attempts;
  // What comes closest to a table tells most about it.
  const closest = attempts.find(({ header }) => header !== undefined) ?? others.find(isBegun) ?? first;
  return closest ?? { problem: badGpt('signature', 'there is none') };
}

function isBegun({ problem }: Attempt): boolean {
  return problem?.details.at !== 'signature' && problem?.details.at !== 'length';
}

/** Where the primary header says, else at the end of the disk. */
async function findBackup(read: ReadAt, diskBytes: number, { copy, header }: Attempt): Promise<Attempt> {
  const atEnd = (sectorBytes: number): { sectorBytes: number; sector: number } => ({
    sectorBytes,
    sector: Math.max(PRIMARY_SECTOR + 1, Math.floor(diskBytes / sectorBytes) - 1),
  });
  const said = header === undefined ? [] : [{ sectorBytes: header.sectorBytes, sector: header.otherSector }];
  const places = copy === undefined ? [...said, ...SECTOR_SIZES.map(atEnd)] : said;
  let problem: GptError | undefined;
  for (const place of places) {
    const attempt = await readCopy(read, 'backup', place);
    if (attempt.copy !== undefined) return attempt;
    problem ??= attempt.problem;
  }
  return { problem: problem ?? badGpt('signature', 'there is none') };
}

async function readCopy(read: ReadAt, which: Which, place: { readonly sectorBytes: number; readonly sector: number }): Promise<Attempt> {
  let header: GptHeader | undefined;
  try {
    header = parseGptHeader(await read(place.sector * place.sectorBytes, place.sectorBytes), place);
    const lengthBytes = header.entries * header.entryBytes;
    const entries = await read(header.entriesSector * place.sectorBytes, lengthBytes);
    if (entries.length < lengthBytes) throw badGpt('entries', 'the disk ends before their end');
    const found = crc32(entries);
    if (found !== header.entriesCrc32) {
      throw badGpt('CRC of the entries', `it is ${hex(found)}; expected ${hex(header.entriesCrc32)}, which the header says`);
    }
    // A copy that cannot be parsed is none.
    parseGptEntries(entries, header);
    return { copy: { which, header, entries }, header };
  } catch (error) {
    if (!isGantryError(error, 'image/bad-gpt')) throw error;
    return { ...(header === undefined ? {} : { header }), problem: error };
  }
}

function copyFindings(primary: Attempt, backup: Attempt): readonly LintFinding[] {
  if (primary.copy === undefined) return [damaged('primary', primary.problem, 'backup')];
  if (backup.copy === undefined) return [damaged('backup', backup.problem, 'primary')];
  if (isSameTable(primary.copy, backup.copy)) return [];
  const message = 'the primary and the backup table are whole, and say different things';
  return [{ rule: 'gpt-copies-differ', severity: 'error', at: 'backup table', message, fix: 'build or copy the image again' }];
}

function damaged(which: Which, { message }: GptError, other: Which): LintFinding {
  const problem = message.replace('Cannot read a partition table: ', '');
  return {
    rule: `gpt-${which}-damaged`,
    severity: 'error',
    at: `${which} table`,
    message: `${problem}; the ${other} table is whole`,
    fix: 'build or copy the image again',
  };
}

function isSameTable(one: GptCopy, other: GptCopy): boolean {
  const { header: a } = one;
  const { header: b } = other;
  return (
    a.diskGuid === b.diskGuid &&
    a.firstUsableSector === b.firstUsableSector &&
    a.lastUsableSector === b.lastUsableSector &&
    b.otherSector === a.sector &&
    Buffer.compare(one.entries, other.entries) === 0
  );
}
