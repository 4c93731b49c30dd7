/** A draft as people look at it before they sign: what it means, the digest to compare, who has signed and who has not. Pure. */
import { parseManifest } from '../release/manifest.ts';
import { signingPayload } from '../tuf/role.ts';
import { validSigners } from '../tuf/signature.ts';
import { spokenDigest } from '../tuf/spoken-digest.ts';
import type { Envelope, KeyId, Root, TopRoleName, TufDate } from '../tuf/types.ts';
import type { Draft } from './draft.ts';
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
  readonly role: TopRoleName;
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
  return { ...viewOf(envelope), ...meaningOfRoot(envelope.signed, previous, nameOf), tallies };
}

/** The roles that are drafted so far, targets first. */
export function viewDraft(draft: Draft, published: TrustedRepository, nameOf: KeyNames): readonly RoleView[] {
  const drafted = (['targets', 'snapshot', 'timestamp'] as const).filter((name) => draft.roles[name] !== undefined);
  return drafted.map((name) => viewRole(draft, name, published, nameOf));
}

/** One role that is drafted. */
export function viewRole(
  { roles, manifest }: Draft,
  name: 'targets' | 'snapshot' | 'timestamp',
  { chain, published, manifest: before }: TrustedRepository,
  nameOf: KeyNames,
): RoleView {
  const root = chain.latest.role;
  const envelope: Envelope | undefined = roles[name];
  if (envelope === undefined) throw new RangeError(`the ${name} role is not drafted`);
  const { signed } = envelope;
  const meaning =
    signed._type === 'targets'
      ? meaningOfTargets(signed, {
          base: published?.targets.role,
          manifest: manifest === undefined ? before : parseManifest(manifest),
          baseManifest: before,
          nameOf,
        })
      : signed._type === 'root'
        ? meaningOfRoot(signed, undefined, nameOf)
        : meaningOfMeta(signed, name === 'snapshot' ? published?.snapshot.role : published?.timestamp.role);
  return { ...viewOf(envelope), ...meaning, tallies: [tally(envelope, { keys: root.keys, roleKeys: root.roles[name] }, root.version)] };
}

function viewOf({ signed }: Envelope): Pick<RoleView, 'role' | 'version' | 'expires' | 'digest'> {
  return { role: signed._type, version: signed.version, expires: signed.expires, digest: spokenDigest(signingPayload(signed)) };
}

function tally(envelope: Envelope, { keys, roleKeys }: Authority, rootVersion: number): Tally {
  const signedBy = validSigners(envelope, keys, roleKeys);
  return { rootVersion, need: roleKeys.threshold, signedBy, open: roleKeys.keyids.filter((keyId) => !signedBy.includes(keyId)) };
}
