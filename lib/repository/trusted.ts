/**
 * What is published, verified from the workspace's own root chain before anything is derived from it (design D6).
 *
 * Expiry is not looked at: a repository that has expired is exactly the one that must be signed again.
 */
import { GantryError, named, quote } from '../errors.ts';
import type { Manifest } from '../release/manifest.ts';
import { verifyThreshold } from '../tuf/signature.ts';
import type { Delegations, MetaFile, Root, SignedRole, Snapshot, Targets, Timestamp } from '../tuf/types.ts';
import type { RootChain } from './root-chain.ts';

/** The three roles below root that one publication made visible. */
export interface PublishedRoles {
  readonly targets: SignedRole<Targets>;
  readonly snapshot: SignedRole<Snapshot>;
  readonly timestamp: SignedRole<Timestamp>;
}

const NOBODY: Delegations = { keys: {}, roles: [] };

declare const verified: unique symbol;

/** A root chain, and what is published under it; `published` is absent before the first publication. */
export interface TrustedRepository {
  readonly [verified]: true;
  readonly chain: RootChain;
  readonly published?: PublishedRoles;
  /** The manifest that the published targets name; its digest was checked by whoever read it. */
  readonly manifest: Manifest;
  /** Delegated roles of the published targets, by name: those that whoever read it needed. */
  readonly delegated: ReadonlyMap<string, SignedRole<Targets>>;
}

/**
 * @param chain every root, those included that are signed and not published yet
 * @param live what the store serves, and the newest root that it serves
 * @throws GantryError `tuf/threshold` when a role is not signed by the live root's keys,
 * `repository/mismatch` when a parent names another version, length or digest
 */
export function trustRepository(
  chain: RootChain,
  manifest: Manifest,
  live?: { readonly root: Root; readonly published: PublishedRoles },
): TrustedRepository {
  if (live !== undefined) verifyPublished(live.root, live.published);
  const published = live?.published;
  // The brand is given only here, after verification.
  return { chain, manifest, delegated: new Map(), ...(published === undefined ? {} : { published }) } as unknown as TrustedRepository;
}

/**
 * The same with delegated roles of the targets role.
 *
 * @throws GantryError `tuf/threshold`, `repository/mismatch`
 */
export function withDelegated(trusted: TrustedRepository, files: ReadonlyMap<string, SignedRole<Targets>>): TrustedRepository {
  const { published } = trusted;
  const by = published?.targets.role.delegations;
  for (const [name, file] of files) verifyDelegated(name, by ?? NOBODY, published?.snapshot.role.meta[`${name}.json`], file);
  return { ...trusted, delegated: files };
}

/** @throws GantryError `tuf/threshold`, `repository/mismatch` */
export function verifyDelegated(name: string, by: Delegations, meta: MetaFile | undefined, file: SignedRole<Targets>): void {
  const keys = by.roles.find((role) => role.name === name);
  if (keys === undefined)
    throw new GantryError('repository/mismatch', `Cannot trust the role ${quote(name)}: nobody delegates to it`, { role: name });
  verifyThreshold({ signed: file.role, signatures: file.signatures }, by.keys, keys, name);
  verifyMeta(name, meta, file);
}

/** Checks the three roles under one root: thresholds, and each parent's claim about its child. */
function verifyPublished(root: Root, published: PublishedRoles): void {
  const { targets, snapshot, timestamp } = published;
  verifyUnder(root, 'timestamp', timestamp);
  verifyUnder(root, 'snapshot', snapshot);
  verifyUnder(root, 'targets', targets);
  verifyMeta('snapshot', timestamp.role.meta['snapshot.json'], snapshot);
  verifyMeta('targets', snapshot.role.meta['targets.json'], targets);
}

/** @throws GantryError `tuf/threshold` */
export function verifyUnder(root: Root, name: 'targets' | 'snapshot' | 'timestamp', file: SignedRole): void {
  verifyThreshold({ signed: file.role, signatures: file.signatures }, root.keys, root.roles[name], name);
}

function verifyMeta(name: string, meta: MetaFile | undefined, file: SignedRole): void {
  const problem =
    meta === undefined
      ? 'its parent does not name it'
      : meta.version !== file.role.version
        ? `it has version ${file.role.version}; expected ${meta.version}`
        : meta.length !== undefined && meta.length !== file.lengthBytes
          ? `it has ${file.lengthBytes} bytes; expected ${meta.length}`
          : meta.hashes !== undefined && meta.hashes.sha256 !== file.sha256
            ? `its SHA-256 is ${file.sha256}; expected ${meta.hashes.sha256}`
            : undefined;
  if (problem !== undefined) {
    throw new GantryError('repository/mismatch', `Cannot trust the published ${named(name)} role: ${problem}`, { role: name });
  }
}

/** What a parent says of a child file. */
export function metaOf(file: SignedRole): MetaFile {
  return { version: file.role.version, length: file.lengthBytes, hashes: { sha256: file.sha256 } };
}
