/** A draft that was overtaken, made again on top of what is live now. */
import { signingPayload } from '../tuf/payload.ts';
import { dateOf } from '../tuf/date.ts';
import type { Envelope, Targets } from '../tuf/types.ts';
import { advanceDraft, draftFrom, offerAfter, type Draft, type DraftRoles, type FreeVersions } from './draft.ts';
import { remainingChanges } from './draft-changes.ts';
import type { ExpiryPolicy } from './expiry.ts';
import type { TrustedRepository } from './trusted.ts';

/**
 * The same changes, with numbers that are free now. Signatures stay where the bytes do: key holders of targets are asked again only
 * when what they signed has changed, not when somebody renewed the timestamp meanwhile.
 *
 * @throws GantryError what `draftFrom` throws: the changes and what was published since conflict
 */
export function redraftOn(
  published: TrustedRepository,
  draft: Draft,
  options: { readonly versions: FreeVersions; readonly now: Date; readonly policy: ExpiryPolicy },
): Draft {
  const fresh = draftFrom(published, remainingChanges(draft.changes, offerAfter(published, [])), options);
  const kept: Pick<DraftRoles, 'targets'> =
    fresh.roles.targets === undefined ? {} : { targets: keep(fresh.roles.targets, draft.roles.targets, options.now) };
  const delegated = Object.entries(fresh.roles.delegated ?? {}).map(
    ([name, envelope]) => [name, keep(envelope, draft.roles.delegated?.[name], options.now)] as const,
  );
  const roles = { ...kept, ...(delegated.length === 0 ? {} : { delegated: Object.fromEntries(delegated) }) };
  const isAsFresh =
    kept.targets === fresh.roles.targets && delegated.every(([name, envelope]) => envelope === fresh.roles.delegated?.[name]);
  return isAsFresh ? fresh : advanceDraft({ ...fresh, roles }, published, options);
}

function keep(fresh: Envelope<Targets>, old: Envelope<Targets> | undefined, now: Date): Envelope<Targets> {
  return old !== undefined && isSame(fresh.signed, old.signed, now) ? old : fresh;
}

/** But for the date, which was chosen when the role was drafted first. */
function isSame(fresh: Targets, old: Targets, now: Date): boolean {
  if (dateOf(old.expires) <= now) return false;
  return Buffer.compare(signingPayload({ ...fresh, expires: old.expires }), signingPayload(old)) === 0;
}
