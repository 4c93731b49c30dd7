/**
 * Whether a draft is what its changes make, before anybody signs it and before anything of it is published.
 *
 * A draft travels: through version control, by mail, by hand. What is to be signed must follow from the changes that people can
 * read, and what is published must be accepted by every host that has accepted the live state.
 */
import { GantryError } from '../errors.ts';
import { dateOf } from '../tuf/date.ts';
import { assertPortable } from '../tuf/lint.ts';
import { sealEnvelope } from '../tuf/role.ts';
import { signingPayload } from '../tuf/payload.ts';
import type { Role, Snapshot, Timestamp } from '../tuf/types.ts';
import { draftFrom, keepsSnapshot, snapshotMeta, type Draft } from './draft.ts';
import { draftedRole, draftedRoles } from './draft-roles.ts';
import type { ExpiryPolicy } from './expiry.ts';
import { metaOf, type TrustedRepository } from './trusted.ts';

/** True when a drafted role has expired, or will not outlive this moment: it must be drafted again. */
export function hasExpired({ roles }: Draft, now: Date): boolean {
  const { delegated = {}, ...top } = roles;
  return [...Object.values(delegated), ...Object.values(top)].some(({ signed }) => dateOf(signed.expires) <= now);
}

/**
 * @param published what the draft is based on
 * @throws GantryError `repository/bad-draft` when a role is not what the changes make, or would take hosts back;
 * `repository/expired`; `tuf/not-portable`; `release/…` when a change makes no sense
 */
export function assertDraftHolds(
  draft: Draft,
  published: TrustedRepository,
  { now, policy }: { readonly now: Date; readonly policy: ExpiryPolicy },
): void {
  const { targets, snapshot, timestamp } = draft.roles;
  const live = published.published;
  for (const name of ['targets', 'snapshot', 'timestamp'] as const) {
    const before = live?.[name].role.version ?? 0;
    if (draft.versions[name] <= before) {
      throw badDraft(`versions.${name}`, `it is ${draft.versions[name]}, and ${before} is published: hosts would refuse it`);
    }
  }
  const expected = draftFrom(published, draft.changes, { versions: draft.versions, now, policy });
  if (Buffer.compare(draft.manifest ?? Buffer.alloc(0), expected.manifest ?? Buffer.alloc(0)) !== 0) {
    throw badDraft('manifest', 'it is not what the changes make of the published one');
  }
  compare('targets', targets?.signed, expected.roles.targets?.signed);
  const [delegated, wanted] = [draft.roles.delegated ?? {}, expected.roles.delegated ?? {}];
  for (const name of new Set([...Object.keys(delegated), ...Object.keys(wanted)])) {
    const before = live?.snapshot.role.meta[`${name}.json`]?.version ?? 0;
    const version = delegated[name]?.signed.version ?? 0;
    if (version <= before)
      throw badDraft(`roles.delegated.${name}`, `its version is ${version}, and ${before} is published: hosts would refuse it`);
    compare(name, delegated[name]?.signed, wanted[name]?.signed);
  }
  const child = targets === undefined ? live?.targets : sealEnvelope(targets);
  if (snapshot === undefined && timestamp !== undefined && !keepsSnapshot(draft.changes)) throw badDraft('roles.snapshot', 'it is missing');
  const nextSnapshot: Snapshot | undefined = snapshot && {
    ...live?.snapshot.role,
    ...snapshot.signed,
    version: draft.versions.snapshot,
    meta: snapshotMeta(draft, published, child),
  };
  compare('snapshot', snapshot?.signed, keepsSnapshot(draft.changes) && live !== undefined ? undefined : nextSnapshot);
  const childOfTimestamp = snapshot === undefined ? live?.snapshot : sealEnvelope(snapshot);
  const nextTimestamp: Timestamp | undefined = timestamp && {
    ...live?.timestamp.role,
    ...timestamp.signed,
    version: draft.versions.timestamp,
    meta: childOfTimestamp === undefined ? timestamp.signed.meta : { 'snapshot.json': metaOf(childOfTimestamp) },
  };
  compare('timestamp', timestamp?.signed, nextTimestamp);
  for (const name of draftedRoles(draft)) {
    const envelope = draftedRole(draft, name);
    if (envelope === undefined) continue;
    assertPortable(envelope.signed);
    refuseExpired(envelope.signed, now);
  }
}

/** Dates are chosen when a role is drafted; everything else follows. */
function compare(name: string, found: Role | undefined, expected: Role | undefined): void {
  if (found === undefined || expected === undefined) {
    // A parent waits for its child.
    if (found === undefined && (expected === undefined || name === 'snapshot' || name === 'timestamp')) return;
    throw badDraft(`roles.${name}`, found === undefined ? 'it is missing' : 'no change asks for it');
  }
  if (Buffer.compare(signingPayload(found), signingPayload({ ...expected, expires: found.expires })) !== 0) {
    throw badDraft(`roles.${name}`, 'it is not what the changes make of the published one');
  }
}

function refuseExpired({ _type: role, version, expires }: Role, now: Date): void {
  if (dateOf(expires) > now) return;
  throw new GantryError(
    'repository/expired',
    `Cannot use the drafted ${role} version ${version}: it expired at ${expires}; expected one that is valid now`,
    {
      role,
      expires,
    },
  );
}

function badDraft(at: string, problem: string): GantryError {
  return new GantryError('repository/bad-draft', `Cannot use the draft: ${at}: ${problem}; expected a draft as gantry made it`, { at });
}
