/**
 * The roles of a draft: which there are, who may sign each, and which wait.
 *
 * Delegated roles and the targets role name no bytes of each other, so they wait together; the snapshot names theirs, and waits for them.
 */
import type { Envelope, Role, Sha256Hex, Signature, SignedRole, Snapshot, Targets, Timestamp } from '../tuf/types.ts';
import type { Change } from './changes.ts';
import { rolesTouchedBy } from './delegations.ts';
import { requestFor, withoutStrays, withSignature, type Authority, type SigningRequest } from './signing.ts';
import type { PublishedRoles, TrustedRepository } from './trusted.ts';

/** The next version numbers that are free in the store. */
export interface FreeVersions {
  readonly targets: number;
  readonly snapshot: number;
  readonly timestamp: number;
  /** Of the delegated roles that a draft changes, by name. */
  readonly delegated?: Readonly<Record<string, number>>;
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
  /** By name. */
  readonly delegated?: Readonly<Record<string, Envelope<Targets>>>;
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
  /** Delegated roles that are new, or changed, by name. */
  readonly newDelegated: ReadonlyMap<string, SignedRole<Targets>>;
  readonly manifest?: Uint8Array;
}

const TOP = ['targets', 'snapshot', 'timestamp'] as const;
type TopName = (typeof TOP)[number];

function isTop(name: string): name is TopName {
  return (TOP as readonly string[]).includes(name);
}

/** The delegated roles whose content and numbers changes need. */
export function delegatedIn(changes: readonly Change[]): readonly string[] {
  return [...new Set(changes.flatMap(rolesTouchedBy))];
}

/** Every role that is drafted so far, children before the parents that name them. */
export function draftedRoles({ roles }: Draft): readonly string[] {
  return [...Object.keys(roles.delegated ?? {}).toSorted(), ...TOP.filter((name) => roles[name] !== undefined)];
}

export function draftedRole({ roles }: Draft, name: string): Envelope | undefined {
  return isTop(name) ? roles[name] : roles.delegated?.[name];
}

/** @param envelope the same role, with other signatures */
export function withDraftedRole(draft: Draft, name: string, envelope: Envelope): Draft {
  const roles = isTop(name)
    ? { ...draft.roles, [name]: envelope }
    : { ...draft.roles, delegated: { ...draft.roles.delegated, [name]: envelope } };
  // The envelope replaces one of the same role.
  return { ...draft, roles: roles as DraftRoles };
}

/** Who may sign a role of the draft: of a delegated one, whom the drafted targets role trusts with it. */
export function authoritiesOf(draft: Draft, { chain, published }: TrustedRepository, name: string): readonly Authority[] {
  const root = chain.latest.role;
  if (isTop(name)) return [{ keys: root.keys, roleKeys: root.roles[name] }];
  const { delegations } = draft.roles.targets?.signed ?? published?.targets.role ?? {};
  const roleKeys = delegations?.roles.find((role) => role.name === name);
  // Nobody may sign what nobody delegates: it can never be complete.
  return [{ keys: delegations?.keys ?? {}, roleKeys: roleKeys ?? { keyids: [], threshold: 1 } }];
}

/** What waits for signatures now. */
export function pendingRequests(draft: Draft, published: TrustedRepository): readonly SigningRequest[] {
  const waiting: SigningRequest[] = [];
  for (const name of draftedRoles(draft)) {
    const envelope = draftedRole(draft, name);
    if (envelope === undefined || ((name === 'snapshot' || name === 'timestamp') && waiting.length > 0)) continue;
    const request = requestFor(envelope, authoritiesOf(draft, published, name), name);
    if (request.missing.length > 0) waiting.push(request);
  }
  return waiting;
}

/** The first of them. */
export function pendingRequest(draft: Draft, published: TrustedRepository): SigningRequest | undefined {
  return pendingRequests(draft, published)[0];
}

/** The draft with signatures on one role. @throws GantryError `keys/bad-signature` */
export function withSignatures(draft: Draft, name: string, signatures: readonly Signature[], published: TrustedRepository): Draft {
  const envelope = draftedRole(draft, name);
  if (envelope === undefined) return draft;
  const authorities = authoritiesOf(draft, published, name);
  const signed = signatures.reduce<Envelope>(
    (collected, signature) => withSignature(collected, signature, authorities),
    withoutStrays<Role>(envelope, authorities),
  );
  return withDraftedRole(draft, name, signed);
}
