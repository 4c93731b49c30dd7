/**
 * Rollback protection that outlives the state directory: where a caller has a place that an attacker cannot reset (a TPM, an EFI
 * variable, another disk), the versions that were trusted are kept there too, so that a cleared directory does not make a host
 * take older metadata.
 *
 * Rules:
 * - it only refuses: nothing is accepted here that tuf-js has refused;
 * - versions count as long as the root gives the role to the same keys; after a rotation they start anew (TUF 1.0.34 §5.3.11);
 * - a record that is not ours is discarded and said so.
 */
import { GantryError } from '../errors.ts';
import { sha256Hex } from '../tuf/hash.ts';
import type { TopRoleName } from '../tuf/types.ts';
import { signedOf, type RoleFiles } from './role-files.ts';

/** Keeps one record of less than 1 KiB, as it is. */
export interface RollbackStore {
  /** Undefined when nothing was written yet. */
  read(): Promise<Uint8Array | undefined>;
  /** Resolves once it will be read again, whatever happens. */
  write(record: Uint8Array): Promise<void>;
}

interface Floor {
  readonly version: number;
  /** Digest of the keys that sign the role, and their threshold. */
  readonly keys: string;
}

export interface RollbackRecord {
  readonly root: number;
  readonly timestamp: Floor;
  readonly snapshot: Floor & { readonly targets: number };
  /** Of the last refresh that succeeded. */
  readonly trustedAt: string;
}

type Members = Readonly<Record<string, unknown>>;

/** Undefined for what is no record. */
export function parseRollbackRecord(bytes: Uint8Array): RollbackRecord | undefined {
  let value: Members | undefined;
  try {
    value = membersOf(JSON.parse(Buffer.from(bytes).toString('utf8')));
  } catch {
    return undefined;
  }
  const [timestamp, snapshot] = [membersOf(value?.['timestamp']), membersOf(value?.['snapshot'])];
  const numbers = [value?.['root'], timestamp?.['version'], snapshot?.['version'], snapshot?.['targets']];
  const texts = [timestamp?.['keys'], snapshot?.['keys'], value?.['trustedAt']];
  if (!numbers.every(Number.isSafeInteger) || !texts.every((text) => typeof text === 'string')) return undefined;
  if (Number.isNaN(Date.parse(String(value?.['trustedAt'])))) return undefined;
  // Every member has been checked.
  return value as unknown as RollbackRecord;
}

/** What is trusted now. @param roles all of them, accepted by tuf-js */
export function rollbackRecordOf(roles: RoleFiles, trustedAt: Date): Uint8Array {
  const record: RollbackRecord = {
    root: versionIn(roles.root),
    timestamp: { version: versionIn(roles.timestamp), keys: keysOf(roles.root, 'timestamp') },
    snapshot: { version: versionIn(roles.snapshot), targets: versionIn(roles.targets), keys: keysOf(roles.root, 'snapshot') },
    trustedAt: trustedAt.toISOString(),
  };
  return Buffer.from(`${JSON.stringify(record)}\n`);
}

/**
 * @param role the one that was accepted last; it and what it says of others is compared
 * @throws GantryError `client/rollback`
 */
export function refuseBelow(record: RollbackRecord, role: TopRoleName, files: RoleFiles): void {
  if (role === 'root') return;
  refuseOlder('root', versionIn(files.root), record.root);
  const signed = files[role] === undefined ? undefined : signedOf(files[role]);
  if (signed === undefined) return;
  const [isSameTimestamp, isSameSnapshot] = [
    keysOf(files.root, 'timestamp') === record.timestamp.keys,
    keysOf(files.root, 'snapshot') === record.snapshot.keys,
  ];
  if (role === 'timestamp' && isSameTimestamp) refuseOlder(role, numberIn(signed), record.timestamp.version);
  if (!isSameSnapshot) return;
  if (role === 'timestamp') refuseOlder('snapshot', numberIn(metaIn(signed, 'snapshot.json')), record.snapshot.version);
  if (role === 'snapshot') {
    refuseOlder(role, numberIn(signed), record.snapshot.version);
    refuseOlder('targets', numberIn(metaIn(signed, 'targets.json')), record.snapshot.targets);
  }
}

function refuseOlder(role: TopRoleName, offered: number, known: number): void {
  if (offered >= known) return;
  throw new GantryError(
    'client/rollback',
    `Cannot accept ${role} version ${offered}: version ${known} was trusted before, as the rollback store remembers`,
    { role },
  );
}

function versionIn(bytes: Uint8Array | undefined): number {
  return numberIn(bytes === undefined ? undefined : signedOf(bytes));
}

/** tuf-js has seen that there is one; anything else is older than everything. */
function numberIn(members: Members | undefined): number {
  const version = members?.['version'];
  return typeof version === 'number' ? version : 0;
}

function metaIn(signed: Members, file: string): Members | undefined {
  return membersOf(membersOf(signed['meta'])?.[file]);
}

function keysOf(root: Uint8Array | undefined, role: TopRoleName): string {
  const keys = membersOf(membersOf(root === undefined ? undefined : signedOf(root)?.['roles'])?.[role]);
  const ids = Array.isArray(keys?.['keyids']) ? keys['keyids'].map(String).toSorted() : [];
  return sha256Hex(Buffer.from(JSON.stringify([ids, keys?.['threshold']])));
}

function membersOf(value: unknown): Members | undefined {
  return typeof value === 'object' && value !== null ? (value as Members) : undefined;
}
