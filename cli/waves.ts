/** Wave schedules from the command line. */
import type { WavePolicy } from '../lib/release/wave-policy.ts';
import type { Waves } from '../lib/release/waves.ts';
import type { Context } from './context.ts';
import { isSet, pathOf, textOption } from './options.ts';
import type { OptionValues } from './program.ts';
import { count } from './ui/format.ts';
import { formatMoment, formatMomentFrom } from './ui/rollout.ts';

export interface ChosenWaves {
  readonly waves: Waves;
  /** What was meant, when `waves` are the narrow ones that stock hosts need. */
  readonly intended?: Waves;
}

/**
 * `--policy`, `--start`, `--exact`, `--immediately`.
 *
 * @throws GantryError `usage/option` when they contradict each other or say nothing; `release/…`
 */
export async function wavesFromOptions(context: Context, options: OptionValues): Promise<ChosenWaves> {
  const name = textOption(options, 'policy');
  const immediately = isSet(options, 'immediately');
  if ((name === undefined) !== immediately) {
    throw await usage('--policy', `${immediately ? 'together with --immediately' : 'or --immediately'}: expected exactly one of them`);
  }
  if (name === undefined) {
    for (const option of ['start', 'smooth', 'exact']) {
      if (options[option] !== undefined)
        throw await usage(`--${option}`, 'together with --immediately: there are no waves to which it could apply');
    }
    return { waves: {} };
  }
  return policyFromOptions(context, options, name);
}

/** The schedule of a policy from `--start` on. @throws GantryError `release/…` */
export async function policyFromOptions(context: Context, options: OptionValues, name: string): Promise<ChosenWaves> {
  const { policyWaves } = await import('../lib/release/wave-policy.ts');
  const { smoothWaves } = await import('../lib/release/waves.ts');
  const policy = await readPolicy(context, options, name);
  const start = await startOf(context, options);
  const coarse = policyWaves(policy, start);
  if (isSet(options, 'exact') && isSet(options, 'smooth')) throw await usage('--smooth', 'together with --exact: expected one of them');
  if (isSet(options, 'exact')) return { waves: coarse };
  return { waves: smoothWaves(coarse), intended: coarse };
}

/** A start that people name must be to come; waves that were over when they were published would be none. */
async function startOf(context: Context, options: OptionValues): Promise<bigint> {
  const { dateOfInstant, instantOf, parseMoment } = await import('../lib/release/wave-time.ts');
  const text = textOption(options, 'start');
  if (text === undefined) return instantOf(context.now);
  const start = await readOption('start', text, () => parseMoment(text, context.now));
  if (start >= instantOf(context.now)) return start;
  throw await usage(
    '--start',
    `${formatMoment(dateOfInstant(start))}: it is in the past; expected a time after ${formatMoment(context.now)}`,
  );
}

/** A bare name is one of the workspace's policies, anything else is a path. */
export async function readPolicy(context: Context, options: OptionValues, name: string): Promise<WavePolicy> {
  const { parseWavePolicy } = await import('../lib/release/wave-policy.ts');
  const { readWavePolicy, readPolicyFile } = await import('../lib/workspace/policies.ts');
  if (name === '')
    throw await usage(
      textOption(options, 'wavePolicy') === undefined ? '--policy' : '--wave-policy',
      '"": it is empty; expected the name of a policy, or a path',
    );
  if (!/^[A-Za-z0-9_-]+$/u.test(name)) {
    const path = pathOf(context, name);
    return parseWavePolicy(await readPolicyFile(path), path);
  }
  const { openWorkspace } = await import('../lib/workspace/workspace.ts');
  return readWavePolicy(await openWorkspace(pathOf(context, textOption(options, 'workspace') ?? '.')), name);
}

/** Who is offered a release when, to come after its name and a colon. */
export function scheduleSentence(waves: Waves, ends: Date | undefined, now: Date): string {
  const times = Object.values(waves);
  const [first] = times;
  if (first === undefined || ends === undefined) return 'every host is offered it once this is published.';
  if (times.length === 1) return `every host is offered it at ${formatMomentFrom(ends, now)}.`;
  return `${count(times.length, 'wave')}: the first hosts are offered it at ${formatMomentFrom(new Date(first), now)}, the last ones at ${formatMomentFrom(ends, now)}.`;
}

/** The moment for which an edit is computed, `--lead` from now: a whole second. @throws GantryError `usage/option` */
export async function momentOf(context: Context, options: OptionValues): Promise<Date> {
  const { parseOffset } = await import('../lib/release/duration.ts');
  const text = textOption(options, 'lead') ?? '';
  const seconds = await readOption('lead', text, () => parseOffset(text));
  return new Date(Math.ceil((context.now.getTime() + seconds * 1000) / 1000) * 1000);
}

const EXPECTED = {
  start: 'RFC 3339 such as "2026-12-01T09:00:00Z", or an offset from now such as "in 2 hours"',
  lead: 'a length of time such as "30 minutes" or "2 hours"',
} as const;

/** What is wrong with the text of an option is a matter of usage, and names the option. */
async function readOption<T>(option: keyof typeof EXPECTED, text: string, read: () => T): Promise<T> {
  try {
    return read();
  } catch (cause) {
    const { isGantryError, quote } = await import('../lib/errors.ts');
    if (!isGantryError(cause)) throw cause;
    throw await usage(`--${option}`, `${quote(text)}: expected ${EXPECTED[option]}, up to 100 years`, cause);
  }
}

async function usage(option: string, problem: string, cause?: unknown): Promise<Error> {
  const { GantryError } = await import('../lib/errors.ts');
  return new GantryError('usage/option', `Cannot use ${option} ${problem}`, { option }, { cause });
}
