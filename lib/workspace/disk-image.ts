/**
 * The images of one set in a disk image: where they begin and end.
 *
 * Rules:
 * - a table with anything wrong in it is refused, and so is one of which only the backup can be read: what was built or copied so badly is
 *   not released;
 * - a partition is longer than its image, and what lies behind the image is cut off: the hash image ends with its tree, the root image where
 *   the tree says (not where its file system ends: a host hashes what the tree covers), the boot image with its file system;
 * - an image that would not fit into its partition is refused;
 * - that something else than zeros was cut off is said.
 */
import { GantryError, isGantryError, quote, refuseAborted, type LintFinding } from '../errors.ts';
import { openStableFile, type StableFile } from '../files/read.ts';
import { FILE_SYSTEM_HEAD_BYTES, findFileSystem } from '../image/file-system.ts';
import type { GptPartition } from '../image/gpt-entries.ts';
import { looksLikeGpt, readGpt, type Gpt } from '../image/gpt.ts';
import { badPartitions, partitionsOfSet, setFindings, type PartitionSet, type SetName, type SetRole } from '../image/partition-roles.ts';
import { verityImageBytes } from '../image/verity-layout.ts';
import { BLOCK_BYTES, parseSuperblock } from '../image/verity-superblock.ts';
import { compressedForm } from './image-file.ts';
import type { DiskSlice } from './image-source.ts';

/** Where an image was found to end. */
export type CutBehind = 'file system' | 'hash tree' | 'hashed data' | 'partition';

export interface DiskPart {
  readonly partition: GptPartition;
  readonly source: DiskSlice;
  readonly cutBehind: CutBehind;
  readonly cutBytes: number;
}

export interface DiskSet {
  readonly set: SetName;
  readonly images: Readonly<Record<SetRole, DiskPart>>;
  readonly findings: readonly LintFinding[];
}

const SECTOR_BYTES_MIN = 512;
const CHUNK_BYTES = 1 << 20;
const ZEROS: Buffer = Buffer.alloc(CHUNK_BYTES);

/**
 * @throws GantryError `image/bad-gpt`, `image/bad-partitions`, `image/bad-verity`, `files/missing`, `files/not-readable`, `files/changed`,
 * `aborted`
 */
export async function findDiskImages(path: string, set: SetName, signal?: AbortSignal): Promise<DiskSet> {
  const disk = await openStableFile(path);
  try {
    const found = await findImages(disk, set, signal).catch(async (error: unknown) => {
      // What is still being written looks broken: say that it changes, not how it looked.
      await disk.assertUnchanged();
      throw ofDisk(error, `take set ${set} out of ${quote(path)}`);
    });
    await disk.assertUnchanged();
    return found;
  } finally {
    await disk.close();
  }
}

/**
 * The partition table of a disk image, and what is wrong with it.
 *
 * @throws GantryError `image/bad-gpt`
 */
export async function readDiskTable(disk: StableFile): Promise<Gpt> {
  return readGpt(async (position, lengthBytes) => disk.readAt(position, lengthBytes), disk.lengthBytes);
}

async function findImages(disk: StableFile, set: SetName, signal: AbortSignal | undefined): Promise<DiskSet> {
  await refuseNoDisk(disk);
  const gpt = await readDiskTable(disk);
  refuseDamaged(gpt);
  const partitions = partitionsOfSet(gpt.partitions, set);
  const { dataBytes, treeBytes } = await readTree(disk, partitions);
  const hash = partOf(disk, partitions.hash, 'hash tree', treeBytes);
  const root = partOf(disk, partitions.root, 'hashed data', dataBytes);
  const rootSystem = findFileSystem(await disk.readAt(partitions.root.position, FILE_SYSTEM_HEAD_BYTES));
  if (rootSystem !== undefined && rootSystem.lengthBytes > dataBytes) {
    const covered = `its ${rootSystem.format} has ${rootSystem.lengthBytes} bytes, and the hash tree covers ${dataBytes}`;
    throw badPartitions(`partition ${partitions.root.number}`, `${covered}; expected a tree of the whole file system`);
  }
  const boot = await findBoot(disk, partitions.boot);
  const images = { boot: boot.part, root, hash };
  const cut = await Promise.all(Object.values(images).map(async (part) => cutFindings(disk, part, signal)));
  const warnings = gpt.findings.filter(({ severity }) => severity === 'warning');
  return { set, images, findings: [...warnings, ...setFindings(partitions, set), ...boot.findings, ...cut.flat()] };
}

async function refuseNoDisk(disk: StableFile): Promise<void> {
  const head = await disk.readAt(0, FILE_SYSTEM_HEAD_BYTES);
  const form = compressedForm(head);
  const found = form === undefined ? findFileSystem(head)?.format : `compressed (${form})`;
  if (found === undefined || looksLikeGpt(head)) return;
  const expected = form === undefined ? 'expected the image of a disk' : 'expected it decompressed';
  const at = form === undefined ? 'file system' : 'compression';
  throw new GantryError('image/bad-gpt', `Cannot read a partition table: it is ${found}; ${expected}`, { at });
}

function refuseDamaged({ findings }: Gpt): void {
  const errors = findings.filter(({ severity }) => severity === 'error');
  const [first] = errors;
  if (first === undefined) return;
  const more = errors.length === 1 ? '' : ` (and ${errors.length - 1} more)`;
  throw new GantryError('image/bad-gpt', `Cannot read a partition table: ${first.at}: ${first.message}${more}`, { at: first.at });
}

async function readTree(disk: StableFile, { hash }: PartitionSet): Promise<{ readonly dataBytes: number; readonly treeBytes: number }> {
  try {
    const { dataBlocks } = parseSuperblock(await disk.readAt(hash.position, SECTOR_BYTES_MIN));
    const dataBytes = dataBlocks * BLOCK_BYTES;
    return { dataBytes, treeBytes: verityImageBytes(dataBytes) };
  } catch (error) {
    if (!isGantryError(error, 'image/bad-verity')) throw error;
    const problem = error.message.replace(/^Cannot [^:]*: /u, '');
    throw new GantryError('image/bad-verity', `Cannot read partition ${hash.number}: ${problem}`, error.details, { cause: error });
  }
}

async function findBoot(
  disk: StableFile,
  partition: GptPartition,
): Promise<{ readonly part: DiskPart; readonly findings: readonly LintFinding[] }> {
  const found = findFileSystem(await disk.readAt(partition.position, FILE_SYSTEM_HEAD_BYTES));
  if (found !== undefined) return { part: partOf(disk, partition, 'file system', wholeBlocks(found.lengthBytes)), findings: [] };
  const message = 'no file system is recognised in it, so it is taken as long as the partition is; expected ext4, EROFS or squashfs';
  const fix = 'nothing, if that is what the image build makes; the image is only longer than it need be';
  return {
    part: partOf(disk, partition, 'partition', partition.lengthBytes),
    findings: [{ rule: 'boot-not-cut', severity: 'warning', at: `partition ${partition.number}`, message, fix }],
  };
}

function wholeBlocks(lengthBytes: number): number {
  return Math.ceil(lengthBytes / BLOCK_BYTES) * BLOCK_BYTES;
}

function partOf({ path, identity }: StableFile, partition: GptPartition, cutBehind: CutBehind, lengthBytes: number): DiskPart {
  const part = `partition ${partition.number}`;
  if (lengthBytes > partition.lengthBytes) {
    throw badPartitions(
      part,
      `its ${cutBehind} has ${lengthBytes} bytes; expected at most ${partition.lengthBytes}, what the partition has`,
    );
  }
  const source = { path, identity, offset: partition.position, lengthBytes, part };
  return { partition, source, cutBehind, cutBytes: partition.lengthBytes - lengthBytes };
}

async function cutFindings(disk: StableFile, part: DiskPart, signal: AbortSignal | undefined): Promise<readonly LintFinding[]> {
  const { partition, source, cutBehind, cutBytes } = part;
  const end = partition.position + partition.lengthBytes;
  for (let position = source.offset + source.lengthBytes; position < end; position += CHUNK_BYTES) {
    refuseAborted(signal);
    const chunk = await disk.readAt(position, Math.min(CHUNK_BYTES, end - position));
    if (ZEROS.subarray(0, chunk.length).equals(chunk)) continue;
    const message = `the ${cutBytes} bytes behind the ${cutBehind} are cut off, and are not all zeros`;
    const fix = 'look what the image build leaves there: a host does not get it';
    return [{ rule: 'cut-not-empty', severity: 'warning', at: source.part, message, fix }];
  }
  return [];
}

/** The same error, with the name of the file. */
function ofDisk(error: unknown, attempt: string): unknown {
  const isOurs = isGantryError(error, 'image/bad-gpt') || isGantryError(error, 'image/bad-partitions');
  if (!isOurs && !isGantryError(error, 'image/bad-verity')) return error;
  const problem = isOurs ? error.message.replace(/^Cannot [^:]*: /u, '') : error.message.replace(/^Cannot read /u, '');
  return new GantryError(error.code, `Cannot ${attempt}: ${problem}`, error.details, { cause: error });
}
