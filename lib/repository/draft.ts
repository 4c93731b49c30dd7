/**
 * Drafts: from what is published and a change, to bytes that wait for signatures.
 *
 * Rules:
 * - a draft is the intent (`changes`) and what follows from it: when the world moves on, the intent is
 *   drafted again on top of the new world;
 * - a parent is drafted only when its child is complete, because it names the child's bytes;
 * - versions come from outside: the next numbers that are free in the store (design D5);
 * - pure: time and bytes come in as arguments.
 */
import { GantryError, quote } from '../errors.ts';
import { verityImageBytes } from '../image/verity.ts';
import { applyEdit, type ManifestEdit } from '../release/edit.ts';
import { assertReleasable, type Offer } from '../release/lint.ts';
import { writeManifest, type Manifest } from '../release/manifest.ts';
import { refuseMissingTargets } from '../release/recall.ts';
import { sha256Hex } from '../tuf/hash.ts';
import { assertPortable } from '../tuf/lint.ts';
import { sealEnvelope } from '../tuf/role.ts';
import { TargetPath } from '../tuf/target-path.ts';
import type { Envelope, Role, Root, Sha256Hex, SignedRole, Signature, Snapshot, TargetFile, Targets, Timestamp } from '../tuf/types.ts';
import { expiryOf, type ExpiryPolicy } from './expiry.ts';
import { requestFor, withoutStrays, withSignature, type Authority, type SigningRequest } from './signing.ts';
import { metaOf, type PublishedRoles, type TrustedRepository } from './trusted.ts';

/** One thing that a release engineer wants to be different. */
export type Change =
  | { readonly kind: 'put-target'; readonly path: string; readonly file: TargetFile }
  | { readonly kind: 'remove-target'; readonly path: string }
  | ManifestEdit
  /** Sign the targets role again, with a new expiry and the same content. */
  | { readonly kind: 'renew-targets' }
  /** Sign the timestamp role again. Where nothing else is to change, the published snapshot stays as it is. */
  | { readonly kind: 'renew-timestamp' };

export const MANIFEST_PATH = 'manifest.json';

/** The next version numbers that are free in the store. */
export interface FreeVersions {
  readonly targets: number;
  readonly snapshot: number;
  readonly timestamp: number;
}

/** The publication that a draft was derived from; absent members: nothing was published yet. */
export interface DraftBase {
  readonly rootVersion: number;
  readonly timestamp?: { readonly version: number; readonly sha256: Sha256Hex };
}

/** The roles drafted so far; what is absent is taken from what is published, or waits for its child. */
export interface DraftRoles {
  readonly targets?: Envelope<Targets>;
  readonly snapshot?: Envelope<Snapshot>;
  readonly timestamp?: Envelope<Timestamp>;
}

export interface Draft {
  readonly base: DraftBase;
  readonly changes: readonly Change[];
  readonly versions: FreeVersions;
  readonly roles: DraftRoles;
  /** The new `manifest.json`, when a change touches it. */
  readonly manifest?: Uint8Array;
}

/** A complete draft: the bytes that a publication writes. */
export interface SignedRepository {
  readonly base: DraftBase;
  readonly roles: PublishedRoles;
  /** Absent when the targets role is the one that is published already. */
  readonly newTargets?: SignedRole<Targets>;
  readonly manifest?: Uint8Array;
}

/** Which publication a repository stands at. */
function baseOf(published: TrustedRepository): DraftBase {
  const timestamp = published.published?.timestamp;
  return {
    rootVersion: published.chain.latest.role.version,
    ...(timestamp === undefined ? {} : { timestamp: { version: timestamp.role.version, sha256: timestamp.sha256 } }),
  };
}

/**
 * The draft of `changes` on top of what is published. Without changes it is a refresh: snapshot and timestamp only.
 *
 * @throws GantryError `release/…` when a change makes no sense, `release/stranded`, `release/lint` when it would break the release for hosts,
 * `repository/bad-change`, `tuf/not-portable`
 */
export function draftFrom(
  published: TrustedRepository,
  changes: readonly Change[],
  options: { readonly versions: FreeVersions; readonly now: Date; readonly policy: ExpiryPolicy },
): Draft {
  const empty: Draft = { base: baseOf(published), changes, versions: options.versions, roles: {} };
  if ((changes.length === 0 || keepsSnapshot(changes)) && published.published !== undefined) return advanceDraft(empty, published, options);
  const offer = offerAfter(published, changes);
  const manifest = writeManifest(offer.manifest);
  const signed: Targets = {
    ...published.published?.targets.role,
    _type: 'targets',
    spec_version: '1.0.0',
    version: options.versions.targets,
    expires: expiryOf('targets', options.now, options.policy),
    targets: {
      ...offer.targets,
      [MANIFEST_PATH]: { length: manifest.length, hashes: { sha256: sha256Hex(manifest) } },
    },
  };
  assertPortable(signed);
  for (const change of changes) if (change.kind === 'recall') refuseMissingTargets(offer, change.update, change.to);
  assertReleasable(offer, offerAfter(published, []), { now: options.now, treeBytes: verityImageBytes });
  return { ...empty, roles: { targets: { signed, signatures: [] } }, manifest };
}

/**
 * The published manifest with the changes made.
 *
 * @throws GantryError `release/…`
 */
export function manifestAfter(published: TrustedRepository, changes: readonly Change[]): Manifest {
  return changes.reduce((manifest, change) => (isEdit(change) ? applyEdit(manifest, change) : manifest), published.manifest);
}

/**
 * What hosts would be told with the changes made.
 *
 * @throws GantryError `release/…`, `repository/bad-change`
 */
export function offerAfter(published: TrustedRepository, changes: readonly Change[]): Offer {
  const targets = targetsAfter(published.published?.targets.role.targets ?? {}, changes);
  return { manifest: manifestAfter(published, changes), targets };
}

function isEdit(change: Change): change is ManifestEdit {
  return change.kind !== 'put-target' && change.kind !== 'remove-target' && !isRenewal(change);
}

/** True for what changes dates and nothing else. */
export function isRenewal({ kind }: Change): boolean {
  return kind === 'renew-targets' || kind === 'renew-timestamp';
}

/** True when only the timestamp is to be signed again. */
export function keepsSnapshot(changes: readonly Change[]): boolean {
  return changes.length > 0 && changes.every(({ kind }) => kind === 'renew-timestamp');
}

function targetsAfter(before: Targets['targets'], changes: readonly Change[]): Record<string, TargetFile> {
  const targets = new Map(Object.entries(before));
  for (const change of changes) {
    if (change.kind === 'put-target') targets.set(TargetPath.parse(change.path).memberName(), change.file);
    if (change.kind === 'remove-target' && !targets.delete(change.path)) {
      throw new GantryError(
        'repository/bad-change',
        `Cannot remove the target ${quote(change.path)}: it is not published; expected one of ${targets.size} published targets`,
        { path: change.path },
      );
    }
  }
  return Object.fromEntries(targets);
}

function authoritiesOf(root: Root, name: 'targets' | 'snapshot' | 'timestamp'): readonly Authority[] {
  return [{ keys: root.keys, roleKeys: root.roles[name] }];
}

/** The drafted role that waits for signatures now: targets, then snapshot, then timestamp. Undefined when none does. */
export function pendingRequest(draft: Draft, root: Root): SigningRequest | undefined {
  for (const name of ['targets', 'snapshot', 'timestamp'] as const) {
    const envelope = draft.roles[name];
    if (envelope === undefined) continue;
    const request = requestFor(envelope, authoritiesOf(root, name));
    if (request.missing.length > 0) return request;
  }
  return undefined;
}

/**
 * The draft with signatures on the role that waits, and its parents drafted as far as that makes possible.
 *
 * @throws GantryError `keys/bad-signature`
 */
export function signDraft(
  draft: Draft,
  signatures: readonly Signature[],
  published: TrustedRepository,
  options: { readonly now: Date; readonly policy: ExpiryPolicy },
): Draft {
  const root = published.chain.latest.role;
  const request = pendingRequest(draft, root);
  if (request === undefined || request.role === 'root') return draft;
  const name = request.role;
  const envelope = draft.roles[name];
  if (envelope === undefined) return draft;
  const signed = signatures.reduce<Envelope>(
    (collected, signature) => withSignature(collected, signature, authoritiesOf(root, name)),
    withoutStrays<Role>(envelope, authoritiesOf(root, name)),
  );
  return advanceDraft({ ...draft, roles: { ...draft.roles, [name]: signed } }, published, options);
}

/** Drafts the next parent when its child is complete. */
export function advanceDraft(
  draft: Draft,
  published: TrustedRepository,
  options: { readonly now: Date; readonly policy: ExpiryPolicy },
): Draft {
  if (pendingRequest(draft, published.chain.latest.role) !== undefined) return draft;
  const { now, policy } = options;
  if (draft.roles.snapshot === undefined && !(keepsSnapshot(draft.changes) && published.published !== undefined)) {
    const targets = draft.roles.targets === undefined ? published.published?.targets : sealEnvelope(draft.roles.targets);
    if (targets === undefined) return draft;
    const signed: Snapshot = {
      ...published.published?.snapshot.role,
      _type: 'snapshot',
      spec_version: '1.0.0',
      version: draft.versions.snapshot,
      expires: expiryOf('snapshot', now, policy),
      meta: { ...published.published?.snapshot.role.meta, 'targets.json': metaOf(targets) },
    };
    assertPortable(signed);
    return { ...draft, roles: { ...draft.roles, snapshot: { signed, signatures: [] } } };
  }
  const snapshot = snapshotOf(draft, published);
  if (draft.roles.timestamp === undefined && snapshot !== undefined) {
    const signed: Timestamp = {
      ...published.published?.timestamp.role,
      _type: 'timestamp',
      spec_version: '1.0.0',
      version: draft.versions.timestamp,
      expires: expiryOf('timestamp', now, policy),
      meta: { 'snapshot.json': metaOf(snapshot) },
    };
    assertPortable(signed);
    return { ...draft, roles: { ...draft.roles, timestamp: { signed, signatures: [] } } };
  }
  return draft;
}

/** The drafted one, or the published one where that stays. */
function snapshotOf({ roles, changes }: Draft, { published }: TrustedRepository): SignedRole<Snapshot> | undefined {
  if (roles.snapshot !== undefined) return sealEnvelope(roles.snapshot);
  return keepsSnapshot(changes) ? published?.snapshot : undefined;
}

/**
 * The complete draft as bytes.
 *
 * @throws GantryError `repository/incomplete` while a threshold is short, `repository/moved-on` when it was derived from
 * another publication than `published`
 */
export function finishDraft(draft: Draft, published: TrustedRepository): SignedRepository {
  if (!isBasedOn(draft, published)) {
    const [base, live] = [describeBase(draft.base), describeBase(baseOf(published))];
    throw new GantryError('repository/moved-on', `Cannot use the draft: it was derived from ${base}; the store now has ${live}`, {
      base,
      live,
    });
  }
  const request = pendingRequest(draft, published.chain.latest.role);
  const { targets, timestamp } = draft.roles;
  const snapshot = snapshotOf(draft, published);
  const sealedTargets = targets === undefined ? published.published?.targets : sealEnvelope(targets);
  if (request !== undefined || sealedTargets === undefined || snapshot === undefined || timestamp === undefined) {
    throw new GantryError('repository/incomplete', 'Cannot finish the draft: signatures are missing', {
      missing: request?.missing ?? [],
    });
  }
  return {
    base: draft.base,
    roles: { targets: sealedTargets, snapshot, timestamp: sealEnvelope(timestamp) },
    ...(targets === undefined ? {} : { newTargets: sealedTargets }),
    ...(draft.manifest === undefined ? {} : { manifest: draft.manifest }),
  };
}

/** True when the draft is what is published now: its publisher never learnt that it had succeeded. */
export function isPublished(draft: Draft, published: TrustedRepository): boolean {
  const { timestamp } = draft.roles;
  const live = published.published?.timestamp;
  return timestamp !== undefined && live !== undefined && sealEnvelope(timestamp).sha256 === live.sha256;
}

/** False when another publication came between: the draft must be made again from its changes. */
export function isBasedOn(draft: Draft, published: TrustedRepository): boolean {
  const live = baseOf(published);
  return live.rootVersion === draft.base.rootVersion && live.timestamp?.sha256 === draft.base.timestamp?.sha256;
}

function describeBase(base: DraftBase): string {
  const { timestamp } = base;
  return timestamp === undefined
    ? `root ${base.rootVersion} and no publication`
    : `root ${base.rootVersion} and timestamp ${timestamp.version} (${timestamp.sha256.slice(0, 12)})`;
}
