/** What it means to hosts when a release is taken away: of those that run it, and of those that were offered it. */
import type { PreparedEdit } from '../lib/publish/edit.ts';
import type { UpdateName } from '../lib/release/find.ts';
import type { Update } from '../lib/release/manifest.ts';
import { publishedIn, titleOf } from './edits.ts';
import { formatShare } from './ui/rollout.ts';

/** @param more what else goes, in words that follow a comma */
export async function removalSentence(edit: PreparedEdit, name: UpdateName, now: Date, more = ''): Promise<string> {
  const live = await publishedIn(edit, name);
  if (live === undefined) return `${titleOf(name)}: it was drafted only, and no host will see it${more}.`;
  return `${titleOf(name)}: nobody is offered it once this is published${await offeredNow(live, now)}${more}; ${await hostsOn(edit, name)}.`;
}

/** ` (37.1 % of the fleet is now)`, as it is published. */
export async function offeredNow(live: Update | undefined, now: Date): Promise<string> {
  const { rolloutStatus } = await import('../lib/release/rollout-status.ts');
  if (live === undefined) return ' (nor is anybody now)';
  const { offered, state } = rolloutStatus(live, now);
  return state === 'withdrawn' || offered === 0 ? ' (nor is anybody now)' : ` (${formatShare(offered)} of the fleet is now)`;
}

/** A release that is above `max_version` when it goes leaves that behind: its hosts are still sent back. */
async function hostsOn({ before, after }: PreparedEdit, name: UpdateName): Promise<string> {
  const { findUpdate, isPeer, isWithdrawn } = await import('../lib/release/find.ts');
  const { compareVersions } = await import('../lib/release/version-order.ts');
  const onOffer = after.manifest.updates.filter((update) => isPeer(update, name) && !isWithdrawn(update));
  const [target] = onOffer.toSorted((a, b) => compareVersions(b.version, a.version));
  return isWithdrawn(findUpdate(before.manifest, name)) && target !== undefined
    ? `hosts that still run it go back to ${target.version} at their next check`
    : 'hosts that have installed it stay on it until a newer release is there';
}
