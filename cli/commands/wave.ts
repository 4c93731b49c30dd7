import { named } from '../../lib/errors.ts';
import type { Update } from '../../lib/release/manifest.ts';
import type { Context } from '../context.ts';
import { titleOf } from '../edits.ts';
import { numberOption, repositoriesOptions } from '../options.ts';
import type { CommandSpec, Outcome } from '../program.ts';
import { readReleases, type ListedRelease } from '../releases.ts';
import { formatWhen } from '../ui/format.ts';
import { describeRollout, formatMoment, formatShare } from '../ui/rollout.ts';
import { table } from '../ui/table.ts';
import { simulate } from './wave-simulate.ts';
import { abort, accelerate, pause, resume, set } from './wave-steer.ts';

const show: CommandSpec = {
  name: 'show',
  arguments: [['[version]', 'one release in detail (default: an overview)']],
  summary: 'show who is offered what, and when the others are',
  options: [{ flags: '--seed <n>', description: 'when the turn of the host with this seed comes (0 to 2047)' }, ...repositoriesOptions],
  examples: ['gantry wave show', 'gantry wave show 1.2.0', 'gantry wave show 1.2.0 --seed 1234 --json'],
  async run(context, [version], options) {
    const seed = numberOption(options, 'seed', { min: 0, max: 2047 });
    const releases = await readReleases(context, options, version);
    return version === undefined && seed === undefined ? overview(context, releases) : inDetail(context, releases, seed);
  },
};

/** Whether a draft gives the release another schedule than the one that is published. */
function isDrafted({ update, was }: ListedRelease): boolean {
  return was === undefined || JSON.stringify([was.waves, was.gantry]) !== JSON.stringify([update.waves, update.gantry]);
}

async function overview(context: Context, releases: readonly ListedRelease[]): Promise<Outcome> {
  const { rolloutStatus } = await import('../../lib/release/rollout-status.ts');
  const found = releases.map((one) => ({ ...one, isDraft: isDrafted(one), status: rolloutStatus(one.update, context.now) }));
  return {
    json: {
      rollouts: found.map(({ update: { variant, arch, version }, isDraft, status }) => ({
        variant,
        arch,
        version,
        draft: isDraft,
        ...status,
      })),
    },
    lines:
      found.length === 0
        ? ['No release yet.']
        : table(
            found.map(({ update, isDraft, status }) => [
              named(update.variant),
              named(update.arch),
              update.version,
              describeRollout(status, context.now),
              isDraft ? 'draft' : '',
            ]),
            { head: ['variant', 'arch', 'version', 'offered to', ''] },
          ),
  };
}

async function inDetail(context: Context, releases: readonly ListedRelease[], seed: number | undefined): Promise<Outcome> {
  const { rolloutStatus, turnOf } = await import('../../lib/release/rollout-status.ts');
  const json: object[] = [];
  const lines: string[] = [];
  for (const release of releases) {
    const { update } = release;
    const { variant, arch, version } = update;
    const isDraft = isDrafted(release);
    const status = rolloutStatus(update, context.now);
    const turn = seed === undefined ? undefined : turnOf(update, seed);
    const joints = await jointsOf(update);
    json.push({
      variant,
      arch,
      version,
      draft: isDraft,
      ...status,
      waves: joints,
      ...(turn === undefined ? {} : { seed, turn }),
    });
    lines.push(
      ...(lines.length === 0 ? [] : ['']),
      `${titleOf(update)}${isDraft ? ' (draft)' : ''}: ${describeRollout(status, context.now)}`,
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
      ...(status.state === 'paused' ? ['  gantry wave resume goes on with what is left.'] : []),
    );
  }
  return { json: { releases: json }, lines: lines.length === 0 ? ['No release yet.'] : lines };
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
