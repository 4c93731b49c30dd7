/**
 * Migrations: what takes a host's settings from one version to another, as stock hosts look for it.
 *
 * Rules (Bottlerocket's `find_migrations`):
 * - the manifest names steps, `(FROM, TO)`, each with the targets to run in order; a step without targets still connects;
 * - from the lower version on, a host always takes the step that leads furthest without passing the higher one, and never goes
 *   back: a way that exists beside it is not found;
 * - going backward is the same list, reversed.
 */
import { GantryError } from '../errors.ts';
import type { Manifest } from './manifest.ts';
import { parseVersion } from './names.ts';
import { versionRanks } from './version-order.ts';

export interface MigrationStep {
  readonly from: string;
  readonly to: string;
  /** Targets, in the order in which they run when going forward. */
  readonly targets: readonly string[];
}

export interface MigrationPath {
  readonly direction: 'forward' | 'backward' | 'none';
  /** In the order in which they are taken; `from` and `to` as the manifest has them. */
  readonly steps: readonly MigrationStep[];
  /** What runs, in order. */
  readonly targets: readonly string[];
}

/** The steps of a manifest, ordered once for many questions. Versions are numbers here: their position in the order. */
export interface MigrationMap {
  /** Every version in a step and every one asked for, lowest first. */
  readonly versions: readonly string[];
  readonly rank: ReadonlyMap<string, number>;
  /** By version, the steps that lead out of it, furthest first. */
  readonly outOf: readonly (readonly RankedStep[])[];
}

interface RankedStep {
  readonly to: number;
  readonly step: MigrationStep;
}

/** The text of a step's key: `(FROM, TO)`. */
export function stepKey(from: string, to: string): string {
  return `(${from}, ${to})`;
}

/** Undefined when the text is no key as `writeManifest` writes it. */
export function parseStepKey(key: string): { readonly from: string; readonly to: string } | undefined {
  const [, from, to] = /^\(([^ ,]+), ([^ ,]+)\)$/u.exec(key) ?? [];
  return from === undefined || to === undefined ? undefined : { from, to };
}

export function stepsOf(migrations: Manifest['migrations']): readonly MigrationStep[] {
  return Object.entries(migrations).flatMap(([key, targets]) => {
    const pair = parseStepKey(key);
    return pair === undefined ? [] : [{ ...pair, targets }];
  });
}

/** @param versions that will be asked for, beside those that the steps name */
export function migrationMap(migrations: Manifest['migrations'], versions: readonly string[]): MigrationMap {
  const steps = stepsOf(migrations);
  const rank = versionRanks([...versions, ...steps.flatMap(({ from, to }) => [from, to])]);
  const outOf: RankedStep[][] = Array.from(rank, () => []);
  for (const step of steps) outOf[rankOf(rank, step.from)]?.push({ to: rankOf(rank, step.to), step });
  for (const ways of outOf) ways.sort((a, b) => b.to - a.to);
  return { versions: [...rank.keys()], rank, outOf };
}

/** @throws RangeError for a version that the map was not made for */
export function rankOf(rank: MigrationMap['rank'], version: string): number {
  const found = rank.get(version);
  if (found === undefined) throw new RangeError(`${JSON.stringify(version)} is not on the map`);
  return found;
}

/** The step that a host takes from `from` towards `high`; undefined when it is stuck. */
function nextStep({ outOf }: MigrationMap, from: number, high: number): RankedStep | undefined {
  const way = outOf[from]?.find(({ to }) => to <= high);
  // Stock hosts would run in circles.
  return way === undefined || way.to <= from ? undefined : way;
}

/** Where a host that walks to `high` is stuck; undefined when it arrives. Every version is looked at once. */
export function walkTo(map: MigrationMap, high: number): (from: number) => number | undefined {
  const known = new Map<number, number | undefined>([[high, undefined]]);
  return (from) => {
    const path: number[] = [];
    let version = from;
    while (!known.has(version)) {
      path.push(version);
      const way = nextStep(map, version, high);
      if (way === undefined) known.set(version, version);
      else version = way.to;
    }
    const stuck = known.get(version);
    for (const passed of path) known.set(passed, stuck);
    return stuck;
  };
}

/** The steps that a host takes from `low` towards `high`, and where it ends: there, unless it is stuck. */
export function stepsBetween(
  map: MigrationMap,
  low: number,
  high: number,
): { readonly steps: readonly MigrationStep[]; readonly end: number } {
  const steps: MigrationStep[] = [];
  let end = low;
  while (end !== high) {
    const way = nextStep(map, end, high);
    if (way === undefined) break;
    steps.push(way.step);
    end = way.to;
  }
  return { steps, end };
}

/**
 * How a host gets from one version to another.
 *
 * @throws GantryError `release/bad-version`; `release/no-path` with the version at which a host is stuck
 */
export function findMigrations(migrations: Manifest['migrations'], from: string, to: string): MigrationPath {
  const map = migrationMap(migrations, [parseVersion(from), parseVersion(to)]);
  const [start, goal] = [rankOf(map.rank, from), rankOf(map.rank, to)];
  const high = Math.max(start, goal);
  const { steps, end } = stepsBetween(map, Math.min(start, goal), high);
  if (end !== high) throw noPath({ from, to }, map.versions[end] ?? '', map.versions[high] ?? '');
  const targets = steps.flatMap((step) => step.targets);
  if (start === goal) return { direction: 'none', steps, targets };
  if (start < goal) return { direction: 'forward', steps, targets };
  return { direction: 'backward', steps: steps.toReversed(), targets: targets.toReversed() };
}

function noPath(wanted: { readonly from: string; readonly to: string }, stuck: string, high: string): GantryError {
  return new GantryError(
    'release/no-path',
    `Cannot migrate from ${wanted.from} to ${wanted.to}: no step leads out of ${stuck} towards ${high}; expected a chain of steps between them`,
    { ...wanted, stuck },
  );
}
