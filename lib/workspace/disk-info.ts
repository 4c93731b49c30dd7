/** What is in a disk image: its partition table, and what each partition holds. */
import { isGantryError, type LintFinding } from '../errors.ts';
import type { StableFile } from '../files/read.ts';
import { FILE_SYSTEM_HEAD_BYTES } from '../image/file-system.ts';
import { isProtectiveMbr } from '../image/gpt-check.ts';
import type { GptPartition } from '../image/gpt-entries.ts';
import { looksLikeGpt, type Gpt } from '../image/gpt.ts';
import { bootFlags, partitionRole, partitionSet, partitionsOfSet, setFindings } from '../image/partition-roles.ts';
import type { BootFlags, PartitionRole, SetName } from '../image/partition-roles.ts';
import { readDiskTable } from './disk-image.ts';
import { heldFindings, heldIn, type Held } from './held.ts';

export interface DiskInfo {
  readonly gpt: Gpt;
  readonly partitions: readonly PartitionInfo[];
}

export interface PartitionInfo {
  readonly partition: GptPartition;
  /** Undefined for types that are not Bottlerocket's. */
  readonly role: PartitionRole | undefined;
  readonly set: SetName | undefined;
  /** Of boot partitions. */
  readonly flags: BootFlags | undefined;
  readonly holds: Held | undefined;
}

/**
 * @param file what can be read from anywhere; absent for what is compressed
 * @param head what it begins with
 * @returns undefined when it is no disk
 */
export async function inspectDisk(
  file: StableFile | undefined,
  head: Uint8Array,
): Promise<{ readonly disk?: DiskInfo; readonly findings: readonly LintFinding[] } | undefined> {
  const isDisk = looksLikeGpt(head) || isProtectiveMbr(head);
  if (file === undefined) return isDisk ? { findings: [] } : undefined;
  try {
    const gpt = await readDiskTable(file);
    const partitions: PartitionInfo[] = [];
    for (const partition of gpt.partitions) partitions.push(await inspectPartition(file, gpt, partition));
    return { disk: { gpt, partitions }, findings: [...gpt.findings, ...partitionFindings(partitions), ...setsFindings(gpt)] };
  } catch (error) {
    if (!isGantryError(error, 'image/bad-gpt')) throw error;
    if (!isDisk) return undefined;
    const message = `neither copy of it can be read: ${error.message.replace(/^Cannot [^:]*: /u, '')}`;
    return {
      findings: [{ rule: 'gpt-unreadable', severity: 'error', at: 'partition table', message, fix: 'build or copy the image again' }],
    };
  }
}

async function inspectPartition(file: StableFile, { partitions }: Gpt, partition: GptPartition): Promise<PartitionInfo> {
  const role = partitionRole(partition);
  return {
    partition,
    role,
    set: partitionSet(partition, partitions),
    flags: role === 'boot' ? bootFlags(partition) : undefined,
    holds: heldIn(await file.readAt(partition.position, Math.min(FILE_SYSTEM_HEAD_BYTES, partition.lengthBytes))),
  };
}

function partitionFindings(partitions: readonly PartitionInfo[]): readonly LintFinding[] {
  return partitions.flatMap(({ partition: { number, lengthBytes }, holds }) =>
    holds === undefined ? [] : heldFindings(holds, { at: `partition ${number}`, lengthBytes }),
  );
}

/** Of the sets that there are; a disk without any is no fault. */
function setsFindings({ partitions }: Gpt): readonly LintFinding[] {
  if (!partitions.some((partition) => partitionSet(partition, partitions) !== undefined)) return [];
  const sets: readonly SetName[] = partitions.some((partition) => partitionSet(partition, partitions) === 'B') ? ['A', 'B'] : ['A'];
  try {
    return sets.flatMap((set) => setFindings(partitionsOfSet(partitions, set), set));
  } catch (error) {
    if (!isGantryError(error, 'image/bad-partitions')) throw error;
    const message = error.message.replace(/^Cannot [^:]*: /u, '');
    return [{ rule: 'set-incomplete', severity: 'error', at: 'partitions', message, fix: 'correct the partition plan' }];
  }
}
