import { named } from '../../lib/errors.ts';
import type { UpdateName } from '../../lib/release/find.ts';
import type { Update } from '../../lib/release/manifest.ts';
import type { Context } from '../context.ts';
import { titleOf } from '../edits.ts';
import { numberOption, repositoriesOptions } from '../options.ts';
import type { CommandSpec, Outcome } from '../program.ts';
import { readReleases, type ListedRelease, type ReleaseState } from '../releases.ts';
import { formatWhen, shellWord } from '../ui/format.ts';
import { describeRollout, formatMoment, formatShare, rolloutJson } from '../ui/rollout.ts';
import { table } from '../ui/table.ts';
import { simulate } from './wave-simulate.ts';
import { abort, accelerate, pause, resume, set } from './wave-steer.ts';

const show: CommandSpec = {
  name: 'show',
  arguments: [['[version]', 'one release in detail (default: an overview)']],
  completes: 'versions',
  summary: 'show who is offered what, and when the others are',
  options: [{ flags: '--seed <n>', description: 'when the turn of the host with this seed comes (0 to 2047)' }, ...repositoriesOptions],
  examples: ['gantry wave show', 'gantry wave show 1.2.0', 'gantry wave show 1.2.0 --seed 1234 --json'],
  async run(context, [version], options) {
    const seed = numberOption(options, 'seed', { min: 0, max: 2047 });
    const releases = await readReleases(context, options, version);
    return version === undefined && seed === undefined ? overview(context, releases) : inDetail(context, releases, seed);
  },
};

async function overview(context: Context, releases: readonly ListedRelease[]): Promise<Outcome> {
  const { rolloutStatus } = await import('../../lib/release/rollout-status.ts');
  const found = releases.map((one) => ({ ...one, status: rolloutStatus(one.update, context.now) }));
  return {
    json: { rollouts: found.map(({ update, state, status }) => ({ ...nameOf(update), state, rollout: rolloutJson(status) })) },
    lines:
      found.length === 0
        ? ['No release yet.']
        : table(
            found.map(({ update, state, status }) => [
              named(update.variant),
              named(update.arch),
              update.version,
              describeRollout(status, context.now),
              MARKS[state],
            ]),
            { head: ['variant', 'arch', 'version', 'rollout', ''] },
          ),
  };
}

/** What a draft does to a release. */
const MARKS: Readonly<Record<ReleaseState, string>> = {
  published: '',
  draft: 'draft',
  changed: 'draft',
  removed: 'taken away by the draft',
};

function nameOf({ variant, arch, version }: Update): UpdateName {
  return { variant, arch, version };
}

async function inDetail(context: Context, releases: readonly ListedRelease[], seed: number | undefined): Promise<Outcome> {
  const { rolloutStatus, turnOf } = await import('../../lib/release/rollout-status.ts');
  const json: object[] = [];
  const lines: string[] = [];
  for (const release of releases) {
    const { update, state } = release;
    const mark = MARKS[state] === '' ? '' : ` (${MARKS[state]})`;
    const status = rolloutStatus(update, context.now);
    const turn = seed === undefined ? undefined : turnOf(update, seed);
    const joints = await jointsOf(update);
    json.push({
      ...nameOf(update),
      state,
      rollout: rolloutJson(status),
      waves: joints,
      ...(turn === undefined ? {} : { seed, turn: turn instanceof Date ? formatMoment(turn) : turn }),
    });
    lines.push(
      ...(lines.length === 0 ? [] : ['']),
      `${titleOf(update)}${mark}: ${describeRollout(status, context.now)}`,
      ...(turn === undefined ? [] : [turnSentence(seed, turn, context.now)]),
      ...(joints.length === 0 || status.state === 'paused'
        ? []
        : table(
            joints.map(({ at, stock, intended }) => [
              `  ${at}`,
              formatWhen(new Date(at), context.now),
              formatShare(stock),
              formatShare(intended),
            ]),
            { head: ['  at', '', 'stock hosts', 'as intended'], right: [2, 3] },
          )),
      ...(status.state === 'paused'
        ? [`  gantry wave resume ${update.version} --variant ${shellWord(update.variant)} --arch ${shellWord(update.arch)} goes on.`]
        : []),
    );
  }
  return { json: { rollouts: json }, lines: lines.length === 0 ? ['No release yet.'] : lines };
}

function turnSentence(seed: number | undefined, turn: Date | 'always' | 'never', now: Date): string {
  if (turn === 'always') return `  The host with seed ${seed} may have it since it was published.`;
  if (turn === 'never') return `  The host with seed ${seed} waits until the rollout is resumed.`;
  return `  The host with seed ${seed} may have it from ${formatMoment(turn)} on (${formatWhen(turn, now)}).`;
}

/** The moments that the schedule names, and the shares of the fleet that may have the update then. */
async function jointsOf(update: Update): Promise<readonly { readonly at: string; readonly stock: number; readonly intended: number }[]> {
  const { readySeeds, scheduleOf, SEEDS } = await import('../../lib/release/eligibility.ts');
  const meant = scheduleOf(update.gantry?.waves ?? update.waves);
  const stock = scheduleOf(update.waves);
  const { dateOfInstant } = await import('../../lib/release/wave-time.ts');
  return meant.times.map((time) => ({
    at: formatMoment(dateOfInstant(time)),
    stock: readySeeds(stock, time) / SEEDS,
    intended: readySeeds(meant, time, 'relative') / SEEDS,
  }));
}

export const wave: CommandSpec = {
  name: 'wave',
  summary: 'see, steer and stop rollouts',
  subcommands: [show, set, pause, resume, accelerate, abort, simulate],
};
