/**
 * Delegations of the targets role: who else may sign a part of the targets, and what is in those parts.
 *
 * Rules:
 * - only the targets role delegates here: what other tools nested below stays as it is;
 * - a change that is live already changes nothing, so that a draft can be made again after somebody else has published;
 * - a delegated role is never left with fewer keys than its threshold;
 * - hash bins are plain `path_hash_prefixes` (tuf-interop rule 14): every client but go-tuf looks into them;
 * - pure.
 */
import { createHash } from 'node:crypto';
import { GantryError, named, quote } from '../errors.ts';
import { targetsOnOffer } from '../release/image-targets.ts';
import type { Manifest } from '../release/manifest.ts';
import { isCovered } from '../tuf/lint/tree.ts';
import { TargetPath } from '../tuf/target-path.ts';
import type { DelegatedRole, Delegations, KeyId, PublicKey, TargetFile, Targets } from '../tuf/types.ts';

/** Keys as a delegation lists them. */
export interface DelegationKeys {
  readonly keys: Readonly<Record<KeyId, PublicKey>>;
  readonly threshold: number;
}

/** What a release engineer wants to be different about delegations. */
export type DelegationChange =
  | ({
      readonly kind: 'add-delegation';
      readonly name: string;
      readonly paths: readonly string[];
      readonly terminating: boolean;
    } & DelegationKeys)
  | { readonly kind: 'remove-delegation'; readonly name: string }
  | { readonly kind: 'replace-delegation-key'; readonly name: string; readonly from: KeyId; readonly to: KeyId; readonly key: PublicKey }
  | { readonly kind: 'set-delegation-threshold'; readonly name: string; readonly threshold: number }
  /** Moves every target that hosts of an update do not need into `bins` delegated roles, a power of two. */
  | ({ readonly kind: 'split-targets'; readonly bins: number } & DelegationKeys)
  /** Sign a delegated role again, with a new expiry and the same content. */
  | { readonly kind: 'renew-delegated'; readonly name: string };

type TargetFiles = Targets['targets'];

/** The targets of the targets role, its delegations, and the targets of every delegated role that changes. */
export interface TargetsTree {
  readonly targets: TargetFiles;
  readonly delegations: Delegations | undefined;
  readonly delegated: ReadonlyMap<string, TargetFiles>;
}

/** A change of a target in a delegated role; others are made before. */
interface PlacedChange {
  readonly kind: 'put-target' | 'remove-target';
  readonly path: string;
  readonly role: string;
  readonly file?: TargetFile;
}

export const MAX_BINS = 16_384;
const NONE: Delegations = { keys: {}, roles: [] };

/**
 * @param content what is published in a delegated role; undefined for one that is not
 * @throws GantryError `repository/bad-change`
 */
export function applyToTree(
  tree: TargetsTree,
  change: DelegationChange | PlacedChange,
  { content, manifest }: { readonly content: (name: string) => TargetFiles | undefined; readonly manifest: Manifest },
): TargetsTree {
  const delegations = tree.delegations ?? NONE;
  const touched = (name: string): TargetFiles => tree.delegated.get(name) ?? content(name) ?? {};
  const withRole = (name: string, files: TargetFiles): ReadonlyMap<string, TargetFiles> => new Map([...tree.delegated, [name, files]]);
  switch (change.kind) {
    case 'add-delegation':
      return { ...tree, delegations: withDelegation(delegations, change), delegated: withRole(change.name, touched(change.name)) };
    case 'remove-delegation': {
      const roles = delegations.roles.filter(({ name }) => name !== change.name);
      const delegated = new Map([...tree.delegated].filter(([name]) => name !== change.name));
      return { ...tree, delegations: roles.length === 0 ? undefined : withRoles(delegations, roles), delegated };
    }
    case 'replace-delegation-key':
    case 'set-delegation-threshold': {
      const role = roleNamed(delegations, change.name);
      const next = change.kind === 'replace-delegation-key' ? withKey(role, change) : { ...role, threshold: change.threshold };
      refuseUnsignable(next);
      const keys = change.kind === 'replace-delegation-key' ? { ...delegations.keys, [change.to]: change.key } : delegations.keys;
      const roles = delegations.roles.map((one) => (one === role ? next : one));
      return { ...tree, delegations: withRoles({ ...delegations, keys }, roles), delegated: withRole(change.name, touched(change.name)) };
    }
    case 'split-targets':
      return split(tree, change, manifest);
    case 'renew-delegated':
      return delegations.roles.some(({ name }) => name === change.name)
        ? { ...tree, delegated: withRole(change.name, touched(change.name)) }
        : tree;
    case 'put-target':
    case 'remove-target':
      refuseOutside(roleNamed(delegations, change.role), change.path);
      return { ...tree, delegated: withRole(change.role, withTarget(touched(change.role), change)) };
  }
}

/**
 * What a person has mistyped. When a draft is made again it is none: somebody else may have done the same meanwhile.
 *
 * @throws GantryError `repository/bad-change`
 */
export function refuseIdle(change: DelegationChange, delegations: Delegations | undefined): void {
  if (change.kind === 'add-delegation' || change.kind === 'split-targets' || change.kind === 'renew-delegated') return;
  const role = roleNamed(delegations ?? NONE, change.name);
  if (change.kind === 'replace-delegation-key' && !role.keyids.includes(change.from)) {
    throw badChange(role.name, `the key ${shortId(change.from)} does not sign it; expected one of ${role.keyids.map(shortId).join(', ')}`);
  }
  if (change.kind === 'set-delegation-threshold' && role.threshold === change.threshold) {
    throw badChange(role.name, `its threshold is ${change.threshold} already; expected another one`);
  }
}

/** The delegated roles whose content a change needs, and new ones whose numbers it needs. */
export function rolesTouchedBy(change: {
  readonly kind: string;
  readonly name?: string;
  readonly role?: string;
  readonly bins?: number;
}): readonly string[] {
  if (change.kind === 'split-targets') return binNames(change.bins ?? 0);
  const isOfDelegation = change.kind.includes('delegat');
  return [...(isOfDelegation && change.name !== undefined ? [change.name] : []), ...(change.role === undefined ? [] : [change.role])];
}

/** @throws GantryError `repository/bad-change` for a target that a delegated role does not list */
export function refuseUnlisted(targets: TargetFiles, role: string, path: string): void {
  if (Object.hasOwn(targets, path)) return;
  throw new GantryError(
    'repository/bad-change',
    `Cannot remove the target ${quote(path)}: ${quote(role)} does not list it; expected one of its ${Object.keys(targets).length} targets`,
    { path },
  );
}

/** The bin that clients look for a target in; undefined where the targets role has no bins. */
export function binOf(delegations: Delegations | undefined, path: string): string | undefined {
  const digest = createHash('sha256').update(path).digest('hex');
  return delegations?.roles.find(({ path_hash_prefixes: prefixes }) => prefixes?.some((prefix) => digest.startsWith(prefix)) === true)
    ?.name;
}

function withDelegation(delegations: Delegations, change: Extract<DelegationChange, { kind: 'add-delegation' }>): Delegations {
  const { name, paths, terminating, threshold } = change;
  const role: DelegatedRole = { name, keyids: keyIdsOf(change.keys), threshold, terminating, paths };
  refuseUnsignable(role);
  const known = delegations.roles.find((one) => one.name === name);
  if (known === undefined)
    return withRoles({ ...delegations, keys: { ...delegations.keys, ...change.keys } }, [...delegations.roles, role]);
  if (
    JSON.stringify([known.paths, known.keyids.toSorted(), known.threshold]) === JSON.stringify([paths, role.keyids.toSorted(), threshold])
  ) {
    return delegations;
  }
  throw badChange(name, 'there is such a delegation already, and it is another one; expected a new name');
}

/** Keys that no role lists any more go. */
function withRoles(delegations: Delegations, roles: readonly DelegatedRole[]): Delegations {
  const used = new Set<string>(roles.flatMap(({ keyids }) => keyids));
  return { ...delegations, keys: Object.fromEntries(Object.entries(delegations.keys).filter(([keyId]) => used.has(keyId))), roles };
}

function withKey(role: DelegatedRole, { from, to }: { readonly from: KeyId; readonly to: KeyId }): DelegatedRole {
  const keyids = role.keyids.map((keyId) => (keyId === from ? to : keyId));
  if (keyids.includes(to)) return { ...role, keyids: [...new Set(keyids)] };
  throw badChange(role.name, `the key ${shortId(from)} does not sign it; expected one of ${role.keyids.map(shortId).join(', ')}`);
}

function withTarget(files: TargetFiles, { path, file }: PlacedChange): TargetFiles {
  const name = TargetPath.parse(path).memberName();
  const others = Object.entries(files).filter(([known]) => known !== name);
  return Object.fromEntries(file === undefined ? others : [...others, [name, file]]);
}

function roleNamed({ roles }: Delegations, name: string): DelegatedRole {
  const role = roles.find((one) => one.name === name);
  if (role !== undefined) return role;
  const names = roles
    .map((one) => one.name)
    .slice(0, 8)
    .join(', ');
  throw badChange(name, `there is no such delegation; expected ${names === '' ? 'one that was added' : `one of ${names}`}`);
}

function refuseOutside(role: DelegatedRole, path: string): void {
  if (isCovered(role, TargetPath.parse(path).memberName())) return;
  const its = role.paths === undefined ? 'it is a hash bin of others' : `its paths are ${role.paths.map(named).join(', ')}`;
  throw badChange(role.name, `${quote(path)} is not delegated to it: ${its}; expected a path that clients look for there`);
}

function shortId(keyId: KeyId): string {
  return `${keyId.slice(0, 12)}…`;
}

function refuseUnsignable({ name, keyids, threshold }: DelegatedRole): void {
  if (threshold >= 1 && threshold <= keyids.length) return;
  throw badChange(name, `${threshold} of ${keyids.length} keys would have to sign it; expected a threshold from 1 to ${keyids.length}`);
}

function split(tree: TargetsTree, change: Extract<DelegationChange, { kind: 'split-targets' }>, manifest: Manifest): TargetsTree {
  const delegations = tree.delegations ?? NONE;
  const names = binNames(change.bins);
  if (delegations.roles.some(({ path_hash_prefixes: prefixes }) => prefixes !== undefined)) {
    throw badChange(names[0] ?? 'bins', 'the targets are split already; expected targets without bins');
  }
  // What hosts ask for at each look, and go-tuf would not find in a bin, stays (design D2).
  const kept = targetsOnOffer(tree.targets, manifest);
  const roles = names.map((name, bin): DelegatedRole => ({
    name,
    keyids: keyIdsOf(change.keys),
    threshold: change.threshold,
    terminating: false,
    path_hash_prefixes: prefixesOf(bin, change.bins),
  }));
  roles.forEach(refuseUnsignable);
  const next = withRoles({ ...delegations, keys: { ...delegations.keys, ...change.keys } }, [...delegations.roles, ...roles]);
  const contents = new Map<string, Record<string, TargetFile>>(names.map((name) => [name, {}]));
  const top: Record<string, TargetFile> = {};
  for (const [path, file] of Object.entries(tree.targets)) {
    const files = kept.has(path) ? top : (contents.get(binName(binIndex(path, change.bins), change.bins)) ?? top);
    files[path] = file;
  }
  return { targets: top, delegations: next, delegated: new Map([...tree.delegated, ...contents]) };
}

/** `bin-0` … `bin-f` for 16 bins, `bin-00` … for more. @throws GantryError `repository/bad-change` */
export function binNames(bins: number): readonly string[] {
  if (!Number.isInteger(Math.log2(bins)) || bins < 2 || bins > MAX_BINS) {
    throw badChange('bins', `${bins} is no number of bins; expected a power of two from 2 to ${MAX_BINS}`);
  }
  return Array.from({ length: bins }, (_, bin) => binName(bin, bins));
}

function binName(bin: number, bins: number): string {
  return `bin-${bin.toString(16).padStart((bins - 1).toString(16).length, '0')}`;
}

/** The first bits of the SHA-256 of the path, as every client computes it. */
function binIndex(path: string, bins: number): number {
  return createHash('sha256').update(path).digest().readUInt16BE() >>> (16 - Math.log2(bins));
}

/** Hexadecimal prefixes of one length, which cover a bin and no other. */
function prefixesOf(bin: number, bins: number): readonly string[] {
  const digits = (bins - 1).toString(16).length;
  const each = 16 ** digits / bins;
  return Array.from({ length: each }, (_, index) => (bin * each + index).toString(16).padStart(digits, '0'));
}

function keyIdsOf(keys: DelegationKeys['keys']): readonly KeyId[] {
  // The members of the record are key ids by its type.
  return Object.keys(keys) as KeyId[];
}

function badChange(name: string, problem: string): GantryError {
  return new GantryError('repository/bad-change', `Cannot change the delegation ${quote(name)}: ${problem}`, { path: name });
}
