/**
 * What Bottlerocket's partitions are for: told by their type, and the set by their order.
 *
 * Rules:
 * - set A and B have the same types: the first partition of a type, in the order of the entries, is A, the second B;
 * - names decide nothing, as on a host;
 * - a set is boot, root and hash; the kernel command line looks for root and hash right behind boot.
 */
import type { LintFinding } from '../errors.ts';
import { GantryError, quote } from '../errors.ts';
import type { GptPartition } from './gpt-entries.ts';

export type PartitionRole = 'boot' | 'root' | 'hash' | 'reserved' | 'private' | 'data' | 'efi-backup' | 'efi' | 'bios-boot';
export type SetName = 'A' | 'B';
export type SetRole = 'boot' | 'root' | 'hash';

const ROLES: Readonly<Record<string, PartitionRole>> = {
  '6b636168-7420-6568-2070-6c616e657421': 'boot',
  '5526016a-1a97-4ea4-b39a-b7c8c6ca4502': 'root',
  '598f10af-c955-4456-6a99-7720068a6cea': 'hash',
  '0c5d99a5-d331-4147-baef-08e2b855bdc9': 'reserved',
  '440408bb-eb0b-4328-a6e5-a29038fad706': 'private',
  '626f7474-6c65-6474-6861-726d61726b73': 'data',
  'b39ce39c-0a00-b4ab-2d11-f18f8237a21c': 'efi-backup',
  // UEFI's own, and GRUB's.
  'c12a7328-f81f-11d2-ba4b-00a0c93ec93b': 'efi',
  '21686148-6449-6e6f-744e-656564454649': 'bios-boot',
};
const SET_ROLES: readonly SetRole[] = ['boot', 'root', 'hash'];
const SETS: readonly SetName[] = ['A', 'B'];
/** The roles that each set has one of. */
const BANKED: ReadonlySet<PartitionRole> = new Set(['boot', 'root', 'hash', 'reserved']);

/** Undefined for types of others. */
export function partitionRole({ typeGuid }: GptPartition): PartitionRole | undefined {
  return ROLES[typeGuid];
}

/** The set that a partition belongs to; undefined for what both share, and for more than two of a kind. */
export function partitionSet(partition: GptPartition, partitions: readonly GptPartition[]): SetName | undefined {
  const role = partitionRole(partition);
  if (role === undefined || !BANKED.has(role)) return undefined;
  return SETS[partitions.filter((one) => one.typeGuid === partition.typeGuid).indexOf(partition)];
}

export type PartitionSet = Readonly<Record<SetRole, GptPartition>>;

/**
 * The partitions of a set.
 *
 * @throws GantryError `image/bad-partitions` when there is no such set, or its partitions cannot be told from those of the other
 */
export function partitionsOfSet(partitions: readonly GptPartition[], set: SetName): PartitionSet {
  const of = (role: SetRole): readonly GptPartition[] => partitions.filter((one) => partitionRole(one) === role);
  const counts = SET_ROLES.map((role) => of(role).length);
  const [boots = 0, roots = 0, hashes = 0] = counts;
  const found = `of Bottlerocket's types it has ${boots} boot, ${roots} root and ${hashes} hash`;
  // With one root missing, the other set's would be taken for this one's.
  if (boots < 1 || boots > SETS.length || counts.some((count) => count !== boots)) {
    throw badPartitions('partitions', `${found}; expected one of each, or two of each`);
  }
  const index = SETS.indexOf(set);
  if (index >= boots) throw badPartitions('partitions', `there is no set ${set}: ${found}; expected two of each`);
  const [boot, root, hash] = SET_ROLES.map((role) => of(role)[index]);
  // Proof: there are as many of each as there are of boot, and `index` is below that.
  return { boot, root, hash } as PartitionSet;
}

/** What of a set would not boot, or is not what its name says. */
export function setFindings({ boot, root, hash }: PartitionSet, set: SetName): readonly LintFinding[] {
  const findings: LintFinding[] = [];
  if (root.number !== boot.number + 1 || hash.number !== boot.number + 2) {
    const message = `boot, root and hash are partitions ${boot.number}, ${root.number} and ${hash.number}; expected three in a row, where the kernel command line looks for them`;
    findings.push(warning('set-order', `set ${set}`, message));
  }
  for (const { name, number } of [boot, root, hash]) {
    if (!/-[AB]$/u.test(name) || name.endsWith(`-${set}`)) continue;
    findings.push(
      warning(
        'set-name',
        `partition ${number}`,
        `it is called ${quote(name)}; expected a name with -${set}: its place makes it set ${set}`,
      ),
    );
  }
  return findings;
}

function warning(rule: string, at: string, message: string): LintFinding {
  return { rule, severity: 'warning', at, message, fix: 'correct the partition plan, and build the image again' };
}

export function badPartitions(at: string, problem: string): GantryError<'image/bad-partitions'> {
  return new GantryError('image/bad-partitions', `Cannot take the images out of a disk: ${at}: ${problem}`, { at });
}

/** What GRUB and signpost keep in bits 48 to 63 of a boot partition's attributes. */
export interface BootFlags {
  /** 0 to 15; 0 is never booted by GRUB. */
  readonly priority: number;
  /** 0 to 15. */
  readonly triesLeft: number;
  readonly isSuccessful: boolean;
}

export function bootFlags({ attributes }: Pick<GptPartition, 'attributes'>): BootFlags {
  const bits = (from: bigint, mask: bigint): number => Number((attributes >> from) & mask);
  return { priority: bits(48n, 15n), triesLeft: bits(52n, 15n), isSuccessful: bits(56n, 1n) === 1 };
}
