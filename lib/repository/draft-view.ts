/** A draft as people look at it before they sign: what it means, the digest to compare, who has signed and who has not. Pure. */
import { parseManifest } from '../release/manifest.ts';
import { signingPayload } from '../tuf/payload.ts';
import { validSigners } from '../tuf/signature.ts';
import { spokenDigest } from '../tuf/spoken-digest.ts';
import type { Envelope, KeyId, Role, Root, TufDate } from '../tuf/types.ts';
import { authoritiesOf, draftedRole, draftedRoles, type Draft } from './draft-roles.ts';
import { meaningOfMeta, meaningOfTargets, type KeyNames, type Meaning } from './meaning.ts';
import { meaningOfRoot } from './meaning-root.ts';
import { rootAuthorities } from './root-draft.ts';
import type { Authority } from './signing.ts';
import type { TrustedRepository } from './trusted.ts';

/** Signatures that one authority asks for: `have` of `need`. */
export interface Tally {
  /** Of which root the keys are. */
  readonly rootVersion: number;
  readonly need: number;
  readonly signedBy: readonly KeyId[];
  readonly open: readonly KeyId[];
}

export interface RoleView extends Meaning {
  /** Of a delegated role its own name. */
  readonly role: string;
  readonly version: number;
  readonly expires: TufDate;
  /** To be read aloud. */
  readonly digest: string;
  /** Every one must be met; a root that follows another one has two. */
  readonly tallies: readonly Tally[];
}

export function viewRoot(envelope: Envelope<Root>, previous: Root | undefined, nameOf: KeyNames): RoleView {
  const authorities = rootAuthorities(envelope.signed, previous);
  const versions = [envelope.signed.version, previous?.version ?? 0];
  const tallies = authorities.map((authority, index) => tally(envelope, authority, versions[index] ?? 0));
  return { ...viewOf(envelope, 'root'), ...meaningOfRoot(envelope.signed, previous, nameOf), tallies };
}

/** The roles that are drafted so far, children first. */
export function viewDraft(draft: Draft, published: TrustedRepository, nameOf: KeyNames): readonly RoleView[] {
  return draftedRoles(draft).map((name) => viewRole(draft, name, published, nameOf));
}

/** One role that is drafted. */
export function viewRole(draft: Draft, name: string, trusted: TrustedRepository, nameOf: KeyNames): RoleView {
  const envelope = draftedRole(draft, name);
  if (envelope === undefined) throw new RangeError(`the ${name} role is not drafted`);
  const { signed } = envelope;
  const tallies = authoritiesOf(draft, trusted, name).map((authority) => tally(envelope, authority, trusted.chain.latest.role.version));
  return { ...viewOf(envelope, name), ...meaningOf(signed, draft, { name, trusted, nameOf }), tallies };
}

function meaningOf(
  signed: Role,
  { manifest }: Draft,
  { name, trusted, nameOf }: { readonly name: string; readonly trusted: TrustedRepository; readonly nameOf: KeyNames },
): Meaning {
  const { published, manifest: baseManifest, delegated } = trusted;
  if (signed._type === 'root') return meaningOfRoot(signed, undefined, nameOf);
  if (signed._type !== 'targets') return meaningOfMeta(signed, name === 'snapshot' ? published?.snapshot.role : published?.timestamp.role);
  // A delegated role has no manifest: none changes in it.
  return name === 'targets'
    ? meaningOfTargets(signed, {
        base: published?.targets.role,
        manifest: manifest === undefined ? baseManifest : parseManifest(manifest),
        baseManifest,
        nameOf,
      })
    : meaningOfTargets(signed, { base: delegated.get(name)?.role, manifest: baseManifest, baseManifest, nameOf });
}

function viewOf({ signed }: Envelope, name: string): Pick<RoleView, 'role' | 'version' | 'expires' | 'digest'> {
  return { role: name, version: signed.version, expires: signed.expires, digest: spokenDigest(signingPayload(signed)) };
}

function tally(envelope: Envelope, { keys, roleKeys }: Authority, rootVersion: number): Tally {
  const signedBy = validSigners(envelope, keys, roleKeys);
  return { rootVersion, need: roleKeys.threshold, signedBy, open: roleKeys.keyids.filter((keyId) => !signedBy.includes(keyId)) };
}
