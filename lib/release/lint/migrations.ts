/** Rules on migrations: whether every host finds the chain of steps that it needs. */
import { quote } from '../../errors.ts';
import { TargetPath } from '../../tuf/target-path.ts';
import { isWithdrawn } from '../find.ts';
import type { Update } from '../manifest.ts';
import { migrationMap, rankOf, stepKey, stepsOf, walkTo, type MigrationMap } from '../migrations.ts';
import type { Offer, Report } from './rules.ts';
import { groupOf, groupsOf } from './updates.ts';

export function lintMigrations({ manifest, targets }: Offer, report: Report): void {
  const { updates, migrations } = manifest;
  const map = migrationMap(
    migrations,
    updates.map(({ version }) => version),
  );
  for (const { from, to, targets: names } of stepsOf(migrations)) {
    const at = `manifest.migrations[${quote(stepKey(from, to))}]`;
    if (rankOf(map.rank, to) <= rankOf(map.rank, from))
      report('migration-loop', at, `the step leads from ${from} to ${to}, which is not higher`);
    for (const name of names) {
      if (Object.hasOwn(targets, name)) continue;
      if (isTargetName(name)) report('migration-missing', at, `${quote(name)} is not a target`, [`migration-missing ${at} ${name}`]);
      else report('bad-name', at, `${quote(name)} is not a name that every client fetches alike`);
    }
  }
  for (const peers of groupsOf(updates)) {
    lintChains(
      peers.map(([, update]) => update),
      map,
      report,
    );
  }
}

export function isTargetName(name: string): boolean {
  try {
    TargetPath.parse(name);
    return true;
  } catch {
    return false;
  }
}

interface Pair {
  readonly low: number;
  readonly high: number;
  /** Where a host that walks from low to high is stuck. */
  readonly stuck: number | undefined;
}

/** Going back takes the same steps as going forward, so one walk for each pair serves both directions. */
function lintChains(peers: readonly Update[], map: MigrationMap, report: Report): void {
  const name = (rank: number): string => map.versions[rank] ?? '';
  const pairs = pairsOf(peers, map);
  const connected = new Set(pairs.filter(({ stuck }) => stuck === undefined).flatMap(({ low, high }) => [low, high]));
  // There may be more pairs than a call takes arguments.
  const lowest = pairs.reduce((least, { low }) => Math.min(least, low), Infinity);
  const alone = new Set(pairs.flatMap(({ low, high }) => [low, high]).filter((rank) => !connected.has(rank) && rank !== lowest));
  const breachesOf = (broken: readonly Pair[]): readonly string[] =>
    broken.map(({ low, high }) => `no way ${peers.slice(0, 1).map(groupOf).join('')} ${name(low)} ${name(high)}`);
  const around = Map.groupBy(
    pairs.flatMap((pair) => [pair.low, pair.high].filter((rank) => alone.has(rank)).map((rank) => [rank, pair] as const)),
    ([rank]) => rank,
  );
  for (const [rank, broken] of around) {
    report(
      'unreachable-version',
      'manifest.migrations',
      `no chain of steps connects ${name(rank)} with any other release`,
      breachesOf(broken.map(([, pair]) => pair)),
    );
  }
  const gaps = Map.groupBy(
    pairs.filter(({ low, high, stuck }) => stuck !== undefined && !alone.has(low) && !alone.has(high)),
    ({ stuck }) => stuck,
  );
  for (const [stuck = 0, [first, ...rest]] of gaps) {
    if (first === undefined) continue;
    const more = rest.length === 0 ? '' : ` (and ${rest.length} more pairs of releases)`;
    report(
      'migration-gap',
      'manifest.migrations',
      `hosts cannot get from ${name(first.low)} to ${name(first.high)}, nor back: no step leads out of ${name(stuck)} towards ${name(first.high)}${more}`,
      breachesOf([first, ...rest]),
    );
  }
}

/** Every two releases of which one is on offer: that is where hosts move to. */
function pairsOf(peers: readonly Update[], map: MigrationMap): readonly Pair[] {
  const ranks = [...new Set(peers.map(({ version }) => rankOf(map.rank, version)))].toSorted((a, b) => a - b);
  const offered = new Set(peers.filter((update) => !isWithdrawn(update)).map(({ version }) => rankOf(map.rank, version)));
  return ranks.flatMap((high, index) => {
    const walk = walkTo(map, high);
    return ranks
      .slice(0, index)
      .filter((low) => offered.has(low) || offered.has(high))
      .map((low) => ({ low, high, stuck: walk(low) }));
  });
}
