/**
 * Recalling a release: `max_version` goes down, and hosts above it go back to what is on offer below.
 *
 * Rule: no host may be stranded. Stock hosts that are told to go back do so only when the older release is open to their seed, a
 * chain of migrations leads there, and all of it can be downloaded; otherwise they stay on the bad release and fail at every check.
 */
import { GantryError, quote } from '../errors.ts';
import { readySeeds, scheduleOf, SEEDS } from './eligibility.ts';
import { findUpdate, isPeer, isWithdrawn, type UpdateName } from './find.ts';
import { imageTargetsOf } from './image-targets.ts';
import type { Offer } from './lint/rules.ts';
import type { Manifest, Update } from './manifest.ts';
import { migrationMap, rankOf, stepsBetween, walkTo, type MigrationMap } from './migrations.ts';
import { offeredSeeds } from './rollout.ts';
import { compareVersions } from './version-order.ts';
import { instantOf } from './wave-time.ts';

/**
 * @param to the release that hosts go back to
 * @param at now
 * @throws GantryError `release/unknown`; `release/bad-recall` when it would do something else than what was said;
 * `release/stranded` when hosts could not go back
 */
export function recallUpdate(manifest: Manifest, name: UpdateName, to: string, at: Date): Manifest {
  const recalled = findUpdate(manifest, name);
  const target = findUpdate(manifest, { ...name, version: to });
  const peers = manifest.updates.filter((update) => isPeer(update, name));
  const refuse = (problem: string): GantryError =>
    new GantryError('release/bad-recall', `Cannot recall ${name.version}: ${problem}`, { version: name.version, to });
  if (compareVersions(to, name.version) >= 0) throw refuse(`${to} is not older; expected a release that its hosts can go back to`);
  if (isWithdrawn(recalled)) throw refuse('it is recalled already; expected a release on offer');
  if (isWithdrawn(target)) throw refuse(`${to} is recalled itself, and would be offered again; expected a release on offer`);
  const newer = peers.find((peer) => !isWithdrawn(peer) && compareVersions(peer.version, name.version) > 0);
  if (newer !== undefined) throw refuse(`${newer.version} is newer, and would go with it; expected the newest release on offer`);
  refuseClosed(target, name.version, at);
  refuseNoWayBack(manifest, target, name.version);
  return { ...manifest, updates: manifest.updates.map((update) => (isPeer(update, name) ? { ...update, max_version: to } : update)) };
}

function refuseClosed(target: Update, version: string, at: Date): void {
  const now = instantOf(at);
  const stock = readySeeds(scheduleOf(target.waves), now);
  const ours = offeredSeeds(target, now);
  const open = Math.min(stock, ours);
  if (open === SEEDS) return;
  const percent = Math.floor((open * 100) / SEEDS);
  throw stranded(version, target.version, 'waves', `${target.version} is open to ${percent} % of the fleet only; expected all of it`);
}

/**
 * Whether hosts can download what a recall sends them to.
 *
 * @throws GantryError `release/stranded` when an image of `to`, or a migration on a way back to it, is no target
 */
export function refuseMissingTargets({ manifest, targets }: Offer, name: UpdateName, to: string): void {
  const target = manifest.updates.find((update) => isPeer(update, name) && update.version === to);
  // A later edit took it away, or recalled it too: that one answers for its hosts.
  if (target === undefined || isWithdrawn(target)) return;
  const map = mapOf(manifest, name);
  const low = rankOf(map.rank, to);
  const ways = map.versions.flatMap((_, rank) => (rank > low ? stepsBetween(map, low, rank).steps : []));
  const needed = [...imageTargetsOf(target, targets), ...[...new Set(ways)].flatMap((step) => step.targets)];
  const missing = needed.find((one) => !Object.hasOwn(targets, one));
  if (missing === undefined) return;
  throw stranded(name.version, to, 'targets', `${quote(missing)}, which they need for that, is not a target; expected all of them`);
}

/** Every version above `to` that hosts may run, lowest first: a recall sends all of them back. */
export function versionsAbove(manifest: Manifest, name: Omit<UpdateName, 'version'>, to: string): readonly string[] {
  const map = mapOf(manifest, name, to);
  return map.versions.slice(rankOf(map.rank, to) + 1);
}

/** Hosts may run versions that are not on offer any more; the steps remember them. */
function mapOf(manifest: Manifest, name: Omit<UpdateName, 'version'>, ...more: readonly string[]): MigrationMap {
  const peers = manifest.updates.filter((update) => isPeer(update, name));
  return migrationMap(manifest.migrations, [...peers.map(({ version }) => version), ...more]);
}

function refuseNoWayBack(manifest: Manifest, target: Update, version: string): void {
  const map = mapOf(manifest, target);
  const low = rankOf(map.rank, target.version);
  const strandedOn = map.versions.find((_, rank) => rank > low && walkTo(map, rank)(low) !== undefined);
  if (strandedOn === undefined) return;
  const problem = `no chain of migrations leads from ${strandedOn} back to ${target.version}; expected one`;
  throw stranded(version, target.version, 'migrations', problem);
}

function stranded(version: string, to: string, why: 'waves' | 'migrations' | 'targets', problem: string): GantryError {
  return new GantryError('release/stranded', `Cannot recall ${version}: its hosts could not go back: ${problem}`, { version, to, why });
}
