/** What `gantry wave simulate` is asked for, from the command line: a schedule, a fleet, and how it behaves. */
import { basename } from 'node:path';
import type { WaveSchedule } from '../lib/release/eligibility.ts';
import type { Offer } from '../lib/release/lint.ts';
import type { Update } from '../lib/release/manifest.ts';
import type { RebootWindow } from '../lib/release/reboot-windows.ts';
import type { FailureOptions } from '../lib/release/simulate.ts';
import type { Waves } from '../lib/release/waves.ts';
import type { Instant } from '../lib/release/wave-time.ts';
import { GantryError, quote } from '../lib/errors.ts';
import type { Context } from './context.ts';
import { titleOf } from './edits.ts';
import { isSet, listOf, numberOption, textOption } from './options.ts';
import type { OptionValues } from './program.ts';
import { openWorkspaceSession } from './session.ts';
import { readPolicy } from './waves.ts';

/** The schedules that are compared. */
export interface Subject {
  readonly title: string;
  /** For programs. */
  readonly about: object;
  /** What time is counted from, in words. */
  readonly since: string;
  readonly from: Instant;
  readonly intended: WaveSchedule;
  readonly stock: WaveSchedule;
  /** Nobody new from then on. */
  readonly holdAt?: Instant;
  /** What one host downloads. */
  readonly imageBytes?: number;
}

/** How the fleet behaves. */
export interface Fleet {
  readonly hosts: number;
  readonly pollSeconds: number;
  readonly rebootWindows: readonly RebootWindow[];
  readonly rngSeed: number;
  readonly downloadBytes?: number;
  readonly failures?: FailureOptions;
}

const MAX_HOSTS = 100_000_000;
const MAX_RNG_SEED = 2 ** 32 - 1;

/** @throws GantryError `usage/option`; `workspace/…`, `release/…` when the schedule cannot be read */
export async function subjectFrom(context: Context, options: OptionValues, version: string | undefined): Promise<Subject> {
  const policy = textOption(options, 'policy');
  if (policy !== undefined) return subjectOfPolicy(context, options, policy, version);
  for (const option of ['start', 'exact', 'smooth']) {
    if (options[option] !== undefined) {
      throw usage(`--${option}`, 'without --policy: expected a policy; a release has waves of its own, with their own times');
    }
  }
  return subjectOfRelease(context, await releaseFrom(context, options, version));
}

async function subjectOfPolicy(context: Context, options: OptionValues, name: string, version: string | undefined): Promise<Subject> {
  const exact = isSet(options, 'exact');
  if (exact && isSet(options, 'smooth')) throw usage('--exact', 'together with --smooth: expected at most one of them');
  const { policyWaves } = await import('../lib/release/wave-policy.ts');
  const { smoothWaves } = await import('../lib/release/waves.ts');
  const { scheduleOf } = await import('../lib/release/eligibility.ts');
  const from = await startFrom(context, options);
  const coarse = policyWaves(await readPolicy(context, options, name), from);
  const release = version === undefined ? undefined : await releaseFrom(context, options, version);
  return {
    title: `${release === undefined ? '' : `${titleOf(release.update)} with `}${basename(name, '.toml')} (${exact ? 'exact' : 'smoothed'})`,
    about: { policy: name, smooth: !exact, ...(release === undefined ? {} : nameOf(release.update)) },
    since: 'since the release starts',
    from,
    intended: scheduleOf(coarse),
    stock: scheduleOf(exact ? coarse : smoothWaves(coarse)),
    ...(release?.imageBytes === undefined ? {} : { imageBytes: release.imageBytes }),
  };
}

async function startFrom(context: Context, options: OptionValues): Promise<Instant> {
  const { ceilSecond, instantOf, parseMoment } = await import('../lib/release/wave-time.ts');
  const text = textOption(options, 'start');
  try {
    // Waves are published with whole seconds.
    return ceilSecond(text === undefined ? instantOf(context.now) : parseMoment(text, context.now));
  } catch (cause) {
    throw usage(
      '--start',
      `${quote(text ?? '')}: expected RFC 3339 such as "2026-12-01T09:00:00Z", or an offset such as "in 2 hours"`,
      cause,
    );
  }
}

interface Release {
  readonly update: Update;
  readonly isDraft: boolean;
  readonly imageBytes?: number;
}

/** @param version the newest one without it */
async function releaseFrom(context: Context, options: OptionValues, version: string | undefined): Promise<Release> {
  const { workspace, store } = await openWorkspaceSession(context, options);
  const { chooseRepository } = await import('../lib/workspace/workspace.ts');
  const { readCurrent, standingOf } = await import('../lib/publish/live.ts');
  const { findUpdate, isPeer, isSame } = await import('../lib/release/find.ts');
  const { compareVersions } = await import('../lib/release/version-order.ts');
  const repository = chooseRepository(workspace, { variant: textOption(options, 'variant'), arch: textOption(options, 'arch') });
  const { published, offer } = standingOf(await readCurrent(workspace, store, repository));
  const [newest] = offer.manifest.updates
    .filter((update) => isPeer(update, repository))
    .toSorted((a, b) => compareVersions(b.version, a.version));
  if (version === undefined && newest === undefined) {
    const problem = `Cannot simulate a release of ${repository.variant}/${repository.arch}: nothing is released yet; expected --policy`;
    throw new GantryError('release/unknown', problem, { version: '', known: [] });
  }
  const update = findUpdate(offer.manifest, { ...repository, version: version ?? newest?.version ?? '' });
  const was = published.manifest.updates.find((one) => isSame(one, update));
  return { update, isDraft: schedulesOf(was) !== schedulesOf(update), ...imageBytesOf(update, offer) };
}

function schedulesOf(update: Update | undefined): string {
  return JSON.stringify([update?.waves, update?.gantry]);
}

function imageBytesOf({ images: { boot, root, hash } }: Update, { targets }: Offer): { readonly imageBytes?: number } {
  const lengths = [boot, root, hash].map((name) => (Object.hasOwn(targets, name) ? targets[name]?.length : undefined) ?? Number.NaN);
  const imageBytes = lengths.reduce((sum, length) => sum + length, 0);
  return Number.isNaN(imageBytes) ? {} : { imageBytes };
}

function nameOf({ variant, arch, version }: Update): object {
  return { variant, arch, version };
}

async function subjectOfRelease(context: Context, { update, isDraft, imageBytes }: Release): Promise<Subject> {
  const { scheduleOf } = await import('../lib/release/eligibility.ts');
  const { isWithdrawn } = await import('../lib/release/find.ts');
  const { instantOf, parseWaveTime } = await import('../lib/release/wave-time.ts');
  if (isWithdrawn(update)) context.note(`${titleOf(update)} is withdrawn: nobody is offered it. This is what its waves would do.`);
  const { waves, paused } = update.gantry ?? {};
  const meant: Waves = waves ?? paused?.waves ?? update.waves;
  const stock = scheduleOf(update.waves);
  const [first] = stock.times.toSorted((a, b) => (a < b ? -1 : 1));
  const holdAt = paused === undefined ? undefined : parseWaveTime(paused.at);
  return {
    title: `${titleOf(update)}${isDraft ? ' (draft)' : ''}`,
    about: { ...nameOf(update), draft: isDraft },
    since: first === undefined ? 'from now on' : 'since the waves start',
    from: first ?? instantOf(context.now),
    intended: scheduleOf(meant),
    stock,
    ...(holdAt === undefined ? {} : { holdAt }),
    ...(imageBytes === undefined ? {} : { imageBytes }),
  };
}

/** @throws GantryError `usage/option` */
export async function fleetFrom(options: OptionValues): Promise<Fleet> {
  const { parseRebootWindow } = await import('../lib/release/reboot-windows.ts');
  const downloadBytes = bytesOption(options, 'downloadSize', '--download-size');
  const failures = await failuresFrom(options);
  return {
    hosts: hostsOption(textOption(options, 'hosts') ?? ''),
    pollSeconds: await secondsOption(options, 'poll', 1),
    rebootWindows: listOf(options, 'rebootWindow').map((text) => {
      const window = parseRebootWindow(text);
      if (window !== undefined) return window;
      throw usage('--reboot-window', `${quote(text)}: expected UTC times such as "22:00-04:00" or "sat,sun 01:00-05:00"`);
    }),
    rngSeed: numberOption(options, 'rngSeed', { min: 0, max: MAX_RNG_SEED }) ?? 1,
    ...(downloadBytes === undefined ? {} : { downloadBytes }),
    ...(failures === undefined ? {} : { failures }),
  };
}

function hostsOption(text: string): number {
  const [, number = '', unit = ''] = /^(\d{1,12}(?:\.\d{1,6})?)([km]?)$/iu.exec(text) ?? [];
  const hosts = number === '' ? Number.NaN : Math.round(Number(number) * (unit === '' ? 1 : unit.toLowerCase() === 'k' ? 1e3 : 1e6));
  if (hosts >= 1 && hosts <= MAX_HOSTS && (unit !== '' || !number.includes('.'))) return hosts;
  throw usage('--hosts', `${quote(text)}: expected a number from 1 to 100M, such as 5000, 10k or 2M`);
}

const BYTES: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};

function bytesOption(options: OptionValues, name: string, option: string): number | undefined {
  const text = textOption(options, name);
  if (text === undefined) return undefined;
  const [, number = '', unit = ''] = /^(\d{1,15}(?:\.\d{1,6})?)\s*([kmg]?i?b)?$/iu.exec(text) ?? [];
  const factor = BYTES[unit.toLowerCase()];
  if (number !== '' && factor !== undefined) return Math.round(Number(number) * factor);
  throw usage(option, `${quote(text)}: expected bytes, such as 240MB, 1.5GB or 250MiB`);
}

async function failuresFrom(options: OptionValues): Promise<FailureOptions | undefined> {
  const text = textOption(options, 'failures');
  const abortAfter = numberOption(options, 'abortAfter', { min: 1, max: MAX_HOSTS });
  const reactionSeconds = await secondsOption(options, 'reaction', 0);
  if (text === undefined) {
    if (abortAfter !== undefined) throw usage('--abort-after', 'without --failures: expected the share of hosts that fail as well');
    return undefined;
  }
  const [, number] = /^(\d{1,3}(?:\.\d{1,9})?)\s*%?$/u.exec(text) ?? [];
  const percent = number === undefined ? Number.NaN : Number(number);
  if (!(percent <= 100)) throw usage('--failures', `${quote(text)}: expected a percentage from 0 to 100, such as 2 or 0.5%`);
  return { share: percent / 100, reactionSeconds, ...(abortAfter === undefined ? {} : { abortAfter }) };
}

async function secondsOption(options: OptionValues, name: 'poll' | 'reaction', least: number): Promise<number> {
  const { parseOffset } = await import('../lib/release/duration.ts');
  const text = textOption(options, name) ?? '';
  const longest = 365 * 86_400;
  let cause: unknown;
  try {
    const seconds = parseOffset(text);
    if (seconds >= least && seconds <= longest) return seconds;
  } catch (error) {
    cause = error;
  }
  const range = least === 0 ? 'up to a year' : 'from a minute to a year';
  throw usage(`--${name}`, `${quote(text)}: expected a length of time ${range}, such as "30 minutes" or "2 hours"`, cause);
}

export function usage(option: string, problem: string, cause?: unknown): GantryError {
  return new GantryError('usage/option', `Cannot use ${option} ${problem}`, { option }, { cause });
}
