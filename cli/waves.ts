/** Wave schedules from the command line. */
import type { WavePolicy } from '../lib/release/wave-policy.ts';
import type { Waves } from '../lib/release/waves.ts';
import type { Context } from './context.ts';
import { isSet, pathOf, textOption } from './options.ts';
import type { OptionValues } from './program.ts';

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
  const start = parseMoment(text, context.now);
  if (start >= instantOf(context.now)) return start;
  const { formatMoment } = await import('./ui/rollout.ts');
  throw await usage(
    '--start',
    `${formatMoment(dateOfInstant(start))}: it is in the past; expected a time after ${formatMoment(context.now)}`,
  );
}

/** A bare name is one of the workspace's policies, anything else is a path. */
export async function readPolicy(context: Context, options: OptionValues, name: string): Promise<WavePolicy> {
  const { parseWavePolicy } = await import('../lib/release/wave-policy.ts');
  const { readWavePolicy, readPolicyFile } = await import('../lib/workspace/policies.ts');
  if (!/^[A-Za-z0-9_-]+$/u.test(name)) {
    const path = pathOf(context, name);
    return parseWavePolicy(await readPolicyFile(path), path);
  }
  const { openWorkspace } = await import('../lib/workspace/workspace.ts');
  return readWavePolicy(await openWorkspace(pathOf(context, textOption(options, 'workspace') ?? '.')), name);
}

async function usage(option: string, problem: string): Promise<Error> {
  const { GantryError } = await import('../lib/errors.ts');
  return new GantryError('usage/option', `Cannot use ${option} ${problem}`, { option });
}
