/**
 * Signatures that were collected in several places, put together.
 *
 * Rules:
 * - only what changes the same bytes is merged; everything else is refused, never chosen;
 * - the result is the union, and neither the order nor the number of merges makes a difference;
 * - a parent that names other bytes of its child than the merged ones cannot be published, and is left out: it is drafted anew.
 */
import { GantryError } from '../errors.ts';
import { sealEnvelope } from '../tuf/role.ts';
import { signingPayload } from '../tuf/payload.ts';
import type { Envelope, MetaFile, Role, Signature } from '../tuf/types.ts';
import { keepsSnapshot, type Draft, type DraftRoles } from './draft.ts';
import { metaOf } from './trusted.ts';

type Delegated = NonNullable<DraftRoles['delegated']>;

/**
 * One envelope with the signatures of both.
 *
 * @throws GantryError `repository/other-draft` when they are over different bytes
 */
export function mergeEnvelopes<R extends Role>(a: Envelope<R>, b: Envelope<R>): Envelope<R> {
  if (Buffer.compare(signingPayload(a.signed), signingPayload(b.signed)) !== 0) throw otherDraft(`the ${a.signed._type} roles`);
  const byKey = new Map<string, Signature>();
  for (const signature of [...a.signatures, ...b.signatures]) {
    const known = byKey.get(signature.keyid);
    // ECDSA and RSA-PSS give another signature each time: whichever comes first, the same one stays.
    if (known === undefined || signature.sig < known.sig) byKey.set(signature.keyid, signature);
  }
  return { signed: a.signed, signatures: [...byKey.values()].toSorted((one, two) => (one.keyid < two.keyid ? -1 : 1)) };
}

/**
 * One draft with the signatures of both.
 *
 * @throws GantryError `repository/other-draft` when base, changes, versions, manifest, targets or delegated roles differ
 */
export function mergeDrafts(a: Draft, b: Draft): Draft {
  refuseOther('the publications that they rest on', a.base, b.base);
  refuseOther('the changes', a.changes, b.changes);
  refuseOther('the versions', a.versions, b.versions);
  refuseOther('the manifests', hexOf(a.manifest), hexOf(b.manifest));
  const targets = mergeChild(a.roles.targets, b.roles.targets);
  const delegated = mergeDelegated(a.roles.delegated ?? {}, b.roles.delegated ?? {});
  const snapshot = mergeParents(
    [a.roles.snapshot, b.roles.snapshot],
    ({ meta }) =>
      names(meta['targets.json'], targets) && Object.entries(delegated).every(([name, envelope]) => names(meta[`${name}.json`], envelope)),
  );
  const timestamp = mergeParents([a.roles.timestamp, b.roles.timestamp], ({ meta }) => names(meta['snapshot.json'], snapshot));
  const roles: DraftRoles = {
    ...(targets === undefined ? {} : { targets }),
    ...(Object.keys(delegated).length === 0 ? {} : { delegated }),
    ...(snapshot === undefined ? {} : { snapshot }),
    ...(timestamp === undefined || (snapshot === undefined && !keepsSnapshot(a.changes)) ? {} : { timestamp }),
  };
  return { ...a, roles };
}

function mergeDelegated(a: Delegated, b: Delegated): Delegated {
  const merged = [...new Set([...Object.keys(a), ...Object.keys(b)])].toSorted().flatMap((name) => {
    const envelope = mergeChild(a[name], b[name]);
    return envelope === undefined ? [] : [[name, envelope] as const];
  });
  return Object.fromEntries(merged);
}

function mergeChild<R extends Role>(a: Envelope<R> | undefined, b: Envelope<R> | undefined): Envelope<R> | undefined {
  if (a !== undefined && b !== undefined) return mergeEnvelopes(a, b);
  if (a !== b) throw otherDraft('the roles');
  return undefined;
}

/** Each place drafts its own parent, which differs in its expiry date: the latest stays, with the signatures of all that are equal to it. */
function mergeParents<R extends Role>(
  envelopes: readonly (Envelope<R> | undefined)[],
  fits: (role: R) => boolean,
): Envelope<R> | undefined {
  const fitting = envelopes.flatMap((envelope) => (envelope !== undefined && fits(envelope.signed) ? [envelope] : []));
  const rank = ({ signed }: Envelope<R>): string => signed.expires + Buffer.from(signingPayload(signed)).toString('utf8');
  const highest = fitting.map(rank).toSorted().at(-1);
  const [first, ...rest] = fitting.filter((envelope) => rank(envelope) === highest);
  return first === undefined ? undefined : rest.reduce(mergeEnvelopes<R>, mergeEnvelopes(first, first));
}

/** An absent child is the published one, which is the same for both. */
function names(meta: MetaFile | undefined, child: Envelope | undefined): boolean {
  return child === undefined || meta?.hashes?.sha256 === metaOf(sealEnvelope(child)).hashes?.sha256;
}

function hexOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('hex');
}

function refuseOther(what: string, a: unknown, b: unknown): void {
  if (JSON.stringify(a) !== JSON.stringify(b)) throw otherDraft(what);
}

function otherDraft(what: string): GantryError {
  return new GantryError(
    'repository/other-draft',
    `Cannot merge the drafts: ${what} are not the same; expected two copies of one draft, signed in different places`,
    { what },
  );
}
