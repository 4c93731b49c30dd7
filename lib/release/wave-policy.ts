/**
 * Wave policies: how fast a fleet may get an update, as TOML.
 *
 * ```toml
 * [[waves]]
 * start_after = "1 hour"      # after the release starts, not after the wave before; or an RFC 3339 time
 * fleet_percentage = 5        # share of the fleet that should have the update when the next wave starts
 * ```
 *
 * The format is Bottlerocket's, with the minutes that its own emergency policy needs and the times that its documentation
 * promises. What its tools take silently and nobody can have meant is an error here: no waves at all, percentages that do not
 * grow, starts that do not grow, members that mean nothing.
 */
import { GantryError, quote } from '../errors.ts';
import { parseOffset } from './duration.ts';
import { SEEDS } from './eligibility.ts';
import type { Update } from './manifest.ts';
import { parseToml, placeText, type TextPlace, type TomlDocument, type TomlPath } from './toml.ts';
import { ceilSecond, parseRfc3339, SECOND, waveTime, type Instant } from './wave-time.ts';

export interface PolicyWave {
  /** Seconds after the start of the release, or a time of its own. */
  readonly start: { readonly afterSeconds: number } | { readonly at: Instant };
  /** 1 to 100. */
  readonly fleetPercentage: number;
  readonly place: TextPlace;
}

export interface WavePolicy {
  /** The file, for messages. */
  readonly path: string;
  readonly waves: readonly PolicyWave[];
}

/**
 * @param text of a policy file
 * @throws GantryError `release/bad-toml`, `release/bad-policy` with the line and column
 */
export function parseWavePolicy(text: string, path: string): WavePolicy {
  const document = parseToml(text, path);
  const { waves: list } = document.table;
  if (!Array.isArray(list)) {
    throw badPolicy(
      path,
      document.placeOf(['waves']),
      `it has ${list === undefined ? 'no' : 'another kind of'} waves; expected [[waves]] tables`,
    );
  }
  if (list.length === 0) {
    throw badPolicy(path, document.placeOf(['waves']), 'its list of waves is empty; expected at least one wave');
  }
  refuseOthers(document, path, [], document.table, ['waves']);
  const waves = list.map((wave: unknown, index) => parseWave(document, path, wave, index));
  refuseNotGrowing(path, waves, document);
  return { path, waves };
}

function parseWave(document: TomlDocument, path: string, wave: unknown, index: number): PolicyWave {
  const at = (member: string): TextPlace => document.placeOf(['waves', index, member]);
  const place = document.placeOf(['waves', index]);
  if (typeof wave !== 'object' || wave === null || Array.isArray(wave)) throw badPolicy(path, place, 'it is not a wave; expected a table');
  const table: Readonly<Record<string, unknown>> = { ...wave };
  refuseOthers(document, path, ['waves', index], table, ['start_after', 'fleet_percentage']);
  const { start_after: startAfter, fleet_percentage: percentage } = table;
  if (typeof startAfter !== 'string') {
    throw badPolicy(path, at('start_after'), `start_after is ${shown(startAfter)}; expected text such as "4 hours"`);
  }
  if (typeof percentage !== 'number' || !Number.isInteger(percentage) || percentage < 1 || percentage > 100) {
    throw badPolicy(path, at('fleet_percentage'), `fleet_percentage is ${shown(percentage)}; expected a whole number from 1 to 100`);
  }
  return { start: parseStart(path, startAfter, at('start_after')), fleetPercentage: percentage, place };
}

/** Whoever writes `pause = true` believes that it does something. */
function refuseOthers(document: TomlDocument, path: string, at: TomlPath, table: object, known: readonly string[]): void {
  const other = Object.keys(table).find((name) => !known.includes(name));
  if (other === undefined) return;
  const where = at.length === 0 ? 'a policy' : 'a wave';
  throw badPolicy(
    path,
    document.placeOf([...at, other]),
    `${quote(other)} means nothing in ${where}; expected only ${known.join(' and ')}`,
  );
}

function parseStart(path: string, text: string, place: TextPlace): PolicyWave['start'] {
  const at = parseRfc3339(text);
  if (at !== undefined) return { at };
  try {
    return { afterSeconds: parseOffset(text) };
  } catch (cause) {
    throw badPolicy(
      path,
      place,
      `start_after is ${quote(text)}; expected a count and minutes, hours, days or weeks, up to 100 years, such as "30 minutes" or "2 days", or an RFC 3339 time`,
      cause,
    );
  }
}

function refuseNotGrowing(path: string, waves: readonly PolicyWave[], document: TomlDocument): void {
  for (const [index, wave] of waves.entries()) {
    const before = waves[index - 1];
    if (before === undefined) continue;
    if (wave.fleetPercentage <= before.fleetPercentage) {
      throw badPolicy(
        path,
        document.placeOf(['waves', index, 'fleet_percentage']),
        `fleet_percentage is ${wave.fleetPercentage}, after ${before.fleetPercentage}; expected each wave to reach more of the fleet than the one before`,
      );
    }
    if ('afterSeconds' in wave.start && 'afterSeconds' in before.start && wave.start.afterSeconds <= before.start.afterSeconds) {
      throw badPolicy(
        path,
        document.placeOf(['waves', index, 'start_after']),
        'start_after is not later than in the wave before; expected each wave to start later (offsets count from the release)',
      );
    }
  }
}

/**
 * The waves that Bottlerocket's tools write for this policy. A wave's time stands at the bound that the percentage before it
 * makes; the last percentage only closes the list.
 *
 * @param start of the release; whole seconds are written, rounded up
 * @throws GantryError `release/bad-policy` when times of the policy's own do not grow, or lie before the start
 */
export function policyWaves(policy: WavePolicy, start: Instant): Update['waves'] {
  const waves: Record<string, string> = {};
  const origin = ceilSecond(start);
  let bound = 0;
  let latest: Instant | undefined;
  for (const { start: begin, fleetPercentage, place } of policy.waves) {
    const time = 'at' in begin ? ceilSecond(begin.at) : origin + BigInt(begin.afterSeconds) * SECOND;
    if ('at' in begin && begin.at < start) {
      throw badPolicy(
        policy.path,
        place,
        `this wave starts at ${waveTime(time)}, before the schedule itself, which starts at ${waveTime(origin)}; expected it later: hosts would be let in at once`,
      );
    }
    if (latest !== undefined && time <= latest) {
      throw badPolicy(
        policy.path,
        place,
        `this wave starts at ${waveTime(time)}, and the one before at ${waveTime(latest)}; expected it later`,
      );
    }
    waves[String(bound)] = waveTime(time);
    latest = time;
    bound = Math.floor((fleetPercentage * SEEDS) / 100);
  }
  return waves;
}

function shown(value: unknown): string {
  if (value === undefined) return 'missing';
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean') return String(value);
  return typeof value === 'string' ? quote(value) : 'of another kind';
}

function badPolicy(path: string, place: TextPlace, problem: string, cause?: unknown): GantryError {
  const at = placeText(place);
  return new GantryError('release/bad-policy', `Cannot use the wave policy ${quote(path)}: ${at}: ${problem}`, { path, at }, { cause });
}
