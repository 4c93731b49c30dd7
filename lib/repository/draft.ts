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
import { GantryError } from '../errors.ts';
import { verityImageBytes } from '../image/verity.ts';
import { assertReleasable } from '../release/lint.ts';
import { MANIFEST_PATH, writeManifest } from '../release/manifest.ts';
import { refuseMissingTargets } from '../release/recall.ts';
import { sha256Hex } from '../tuf/hash.ts';
import { assertPortable } from '../tuf/lint.ts';
import { sealEnvelope } from '../tuf/role.ts';
import type { MetaFile, SignedRole, Signature, Snapshot, Targets, Timestamp } from '../tuf/types.ts';
import { keepsSnapshot, keepsTargets, offerAfter, treeAfter, type Change } from './changes.ts';
import type { TargetsTree } from './delegations.ts';
import {
  pendingRequest,
  withSignatures,
  type Draft,
  type DraftBase,
  type DraftRoles,
  type FreeVersions,
  type SignedRepository,
} from './draft-roles.ts';
import { expiryOf, type ExpiryPolicy } from './expiry.ts';
import { metaOf, type TrustedRepository } from './trusted.ts';

export { MANIFEST_PATH } from '../release/manifest.ts';
export { isRenewal, keepsSnapshot, offerAfter, type Change } from './changes.ts';
export { pendingRequest, pendingRequests, type Draft, type DraftRoles, type FreeVersions, type SignedRepository } from './draft-roles.ts';

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
  const tree = treeAfter(published, changes);
  const empty: Draft = { base: baseOf(published), changes, versions: options.versions, roles: delegatedRoles(published, tree, options) };
  if (keepsTargets(changes) && published.published !== undefined) return advanceDraft(empty, published, options);
  const offer = offerAfter(published, changes);
  const manifest = writeManifest(offer.manifest);
  const { delegations: _, ...live }: Partial<Targets> = published.published?.targets.role ?? {};
  const signed: Targets = {
    ...live,
    _type: 'targets',
    spec_version: '1.0.0',
    version: options.versions.targets,
    expires: expiryOf('targets', options.now, options.policy),
    targets: {
      ...offer.targets,
      [MANIFEST_PATH]: { length: manifest.length, hashes: { sha256: sha256Hex(manifest) } },
    },
    ...(tree.delegations === undefined ? {} : { delegations: tree.delegations }),
  };
  assertPortable(signed);
  for (const change of changes) if (change.kind === 'recall') refuseMissingTargets(offer, change.update, change.to);
  assertReleasable(offer, offerAfter(published, []), { now: options.now, treeBytes: verityImageBytes });
  return { ...empty, roles: { ...empty.roles, targets: { signed, signatures: [] } }, manifest };
}

/** New versions of the delegated roles that change; they live as long as the targets role. */
function delegatedRoles(
  { delegated }: TrustedRepository,
  tree: TargetsTree,
  { versions, now, policy }: { readonly versions: FreeVersions; readonly now: Date; readonly policy: ExpiryPolicy },
): DraftRoles {
  if (tree.delegated.size === 0) return {};
  const drafted = [...tree.delegated].map(([name, targets]) => {
    const live = delegated.get(name)?.role;
    const signed: Targets = {
      ...live,
      _type: 'targets',
      spec_version: '1.0.0',
      version: versions.delegated?.[name] ?? (live?.version ?? 0) + 1,
      expires: expiryOf('targets', now, policy),
      targets,
    };
    assertPortable(signed);
    return [name, { signed, signatures: [] }] as const;
  });
  return { delegated: Object.fromEntries(drafted) };
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
  const request = pendingRequest(draft, published);
  if (request === undefined) return draft;
  return advanceDraft(withSignatures(draft, request.role, signatures, published), published, options);
}

/** Drafts the next parent when its child is complete. */
export function advanceDraft(
  draft: Draft,
  published: TrustedRepository,
  options: { readonly now: Date; readonly policy: ExpiryPolicy },
): Draft {
  if (pendingRequest(draft, published) !== undefined) return draft;
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
      meta: snapshotMeta(draft, published, targets),
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

/**
 * What a snapshot names: the drafted roles, and everything that the one before names. A delegation that was taken back stays in it for
 * ever, with its last version: clients refuse a snapshot that lacks what they have seen in one (TUF 1.0.34 §5.5.5).
 */
export function snapshotMeta(
  { roles }: Draft,
  { published }: TrustedRepository,
  targets: SignedRole<Targets> | undefined,
): Readonly<Record<string, MetaFile>> {
  return {
    ...published?.snapshot.role.meta,
    ...(targets === undefined ? {} : { 'targets.json': metaOf(targets) }),
    ...Object.fromEntries(
      Object.entries(roles.delegated ?? {}).map(([name, envelope]) => [`${name}.json`, metaOf(sealEnvelope(envelope))]),
    ),
  };
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
  const request = pendingRequest(draft, published);
  const { targets, timestamp, delegated = {} } = draft.roles;
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
    newDelegated: new Map(Object.entries(delegated).map(([name, envelope]) => [name, sealEnvelope(envelope)])),
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
