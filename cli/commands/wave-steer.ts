/** The verbs that steer a published rollout: each drafts an edit, and says what hosts will see. */
import { draftEdit, publishedIn, titleOf, updateIn, type Edit } from '../edits.ts';
import { dryRunOption, repositoriesOptions, textOption } from '../options.ts';
import type { CommandSpec, OptionSpec, OptionValues } from '../program.ts';
import { removalSentence } from '../removal.ts';
import { formatMoment, formatMomentFrom, formatShare } from '../ui/rollout.ts';
import { momentOf, scheduleSentence, wavesFromOptions } from '../waves.ts';

const VERSION = [['<version>', 'the release, for example 1.2.0']] as const;

const leadOption: OptionSpec = {
  flags: '--lead <offset>',
  description: 'how long signing and publishing may take: the edit holds from then on',
  default: '15 minutes',
};

const SIGN_AND_PUBLISH = 'gantry sign && gantry publish';

export const set: CommandSpec = {
  name: 'set',
  arguments: VERSION,
  completes: 'versions',
  summary: 'give a release another wave schedule',
  description:
    'Stock hosts compute wide waves wrongly: most of a wave comes in one instant. So many narrow waves are written, with which they follow the policy within 1 % of the fleet; --exact writes the few that pubsys would.',
  options: [
    { flags: '--policy <name>', completes: 'policies', description: 'policies/waves/NAME.toml, or the path of a policy' },
    { flags: '--immediately', description: 'no waves: everyone at once' },
    { flags: '--start <time>', description: 'when the schedule starts: RFC 3339, or from now, such as "in 2 hours" (default: now)' },
    { flags: '--smooth', description: 'many narrow waves, with which stock hosts follow the policy (the default)' },
    { flags: '--exact', description: 'the waves that pubsys would write' },
    ...repositoriesOptions,
    dryRunOption,
  ],
  examples: ['gantry wave set 1.2.0 --policy default-waves', `gantry wave set 1.2.0 --immediately && ${SIGN_AND_PUBLISH}`],
  async run(context, [version = ''], options) {
    const { waves, intended } = await wavesFromOptions(context, options);
    const { rolloutStatus } = await import('../../lib/release/rollout-status.ts');
    return draftEdit(context, options, {
      version,
      changesFor: (_, repository) => [
        { kind: 'set-waves', update: { ...repository, version }, waves, ...(intended === undefined ? {} : { intended }) },
      ],
      async sentence(edit) {
        const name = { ...edit.repository, version };
        const live = await publishedIn(edit, name);
        const before = live === undefined ? undefined : rolloutStatus(live, context.now);
        const after = rolloutStatus((await updateIn(edit, name)).is, context.now);
        const lost = before === undefined || before.state === 'withdrawn' ? 0 : before.offered - after.offered;
        return [
          `${titleOf(name)}: ${scheduleSentence(waves, after.ends, context.now)}`,
          ...(before?.state === 'paused' ? ['Its pause is over with that.'] : []),
          ...(lost > 0 ? [`${formatShare(lost)} of the fleet, offered it now, will wait again; who has installed it keeps it.`] : []),
        ].join(' ');
      },
    });
  },
};

export const pause: CommandSpec = {
  name: 'pause',
  arguments: VERSION,
  completes: 'versions',
  summary: 'offer a release to nobody new',
  description:
    'Until the moment that --lead gives, the schedule goes on; from then on nobody new is offered the release, and whoever was offered it keeps it. It must be published before that moment.',
  options: [leadOption, ...repositoriesOptions, dryRunOption],
  examples: [`gantry wave pause 1.2.0 && ${SIGN_AND_PUBLISH}`, 'gantry wave pause 1.2.0 --lead "2 hours" --variant all --arch all'],
  async run(context, [version = ''], options) {
    const at = await momentOf(context, options);
    const { rolloutStatus } = await import('../../lib/release/rollout-status.ts');
    return draftEdit(
      context,
      options,
      {
        version,
        changesFor: (_, repository) => [
          { kind: 'pause-waves', update: { ...repository, version }, from: context.now.toISOString(), at: formatMoment(at) },
        ],
        async sentence(edit) {
          const name = { ...edit.repository, version };
          const { is } = await updateIn(edit, name);
          const { offered } = rolloutStatus(is, at);
          const hold = (await publishedIn(edit, name))?.gantry?.paused?.at;
          const moved = hold === undefined ? '' : `, instead of ${hold},`;
          return `${titleOf(name)}: from ${formatMomentFrom(at, context.now)} on${moved} nobody new is offered it; the ${formatShare(offered)} of the fleet that may have it by then keep it. Publish it before that moment.`;
        },
      },
      { at: formatMoment(at) },
    );
  },
};

export const resume: CommandSpec = {
  name: 'resume',
  arguments: VERSION,
  completes: 'versions',
  summary: 'go on with a paused rollout where it stopped',
  description: 'What was left of the schedule is shifted: every host waits as long as it still had to when the rollout was paused.',
  options: [leadOption, ...repositoriesOptions, dryRunOption],
  examples: [`gantry wave resume 1.2.0 && ${SIGN_AND_PUBLISH}`],
  async run(context, [version = ''], options) {
    const at = await momentOf(context, options);
    const { rolloutStatus } = await import('../../lib/release/rollout-status.ts');
    return draftEdit(
      context,
      options,
      {
        version,
        changesFor: (_, repository) => [
          { kind: 'resume-waves', update: { ...repository, version }, from: context.now.toISOString(), at: formatMoment(at) },
        ],
        async sentence(edit) {
          const name = { ...edit.repository, version };
          const { was, is } = await updateIn(edit, name);
          const { offered, ends } = rolloutStatus(is, at);
          const hold = was.gantry?.paused?.at;
          if (hold !== undefined && new Date(hold) >= at) {
            return `${titleOf(name)}: the pause from ${formatMomentFrom(new Date(hold), context.now)} on is taken back; the schedule stays as it was.`;
          }
          const rest = ends === undefined ? '' : `, the last ones at ${formatMomentFrom(ends, context.now)}`;
          return `${titleOf(name)}: goes on at ${formatMomentFrom(at, context.now)}; the ${formatShare(1 - offered)} of the fleet that are still to come wait as long as they still had to${rest}. Publish it before that moment.`;
        },
      },
      { at: formatMoment(at) },
    );
  },
};

export const accelerate: CommandSpec = {
  name: 'accelerate',
  arguments: VERSION,
  completes: 'versions',
  summary: 'make what is left of a rollout faster',
  description: 'Whoever is offered the release keeps it; the others wait a part of what they still had to.',
  options: [
    { flags: '--factor <n>', description: 'how many times as fast, for example 2 or 1.5', default: '2' },
    { ...leadOption, default: '0 minutes' },
    ...repositoriesOptions,
    dryRunOption,
  ],
  examples: [`gantry wave accelerate 1.2.0 --factor 4 && ${SIGN_AND_PUBLISH}`],
  async run(context, [version = ''], options) {
    const at = await momentOf(context, options);
    const factor = await factorOf(options);
    const { rolloutStatus } = await import('../../lib/release/rollout-status.ts');
    const edit: Edit = {
      version,
      changesFor: (_, repository) => [
        { kind: 'accelerate-waves', update: { ...repository, version }, from: context.now.toISOString(), at: formatMoment(at), factor },
      ],
      async sentence(prepared) {
        const name = { ...prepared.repository, version };
        const live = await publishedIn(prepared, name);
        const before = live === undefined ? undefined : rolloutStatus(live, at);
        const after = rolloutStatus((await updateIn(prepared, name)).is, at);
        const instead = before?.ends === undefined ? '' : ` instead of ${formatMoment(before.ends)}`;
        const ends =
          after.ends === undefined ? '' : `: the last hosts are offered it at ${formatMomentFrom(after.ends, context.now)}${instead}`;
        return `${titleOf(name)}: from ${formatMomentFrom(at, context.now)} on, the ${formatShare(1 - after.offered)} of the fleet that are still to come are offered it ${factor} times as fast${ends}. It may be published later than that: whoever is due by then comes at once.`;
      },
    };
    return draftEdit(context, options, edit, { at: formatMoment(at) });
  },
};

async function factorOf(options: OptionValues): Promise<number> {
  const text = textOption(options, 'factor') ?? '';
  const factor = /^\d{1,6}(?:\.\d{1,3})?$/u.test(text) ? Number(text) : Number.NaN;
  if (factor > 1) return factor;
  const { GantryError, quote } = await import('../../lib/errors.ts');
  throw new GantryError('usage/option', `Cannot use --factor ${quote(text)}: expected a number above 1, such as 2 or 1.5`, {
    option: '--factor',
  });
}

export const abort: CommandSpec = {
  name: 'abort',
  arguments: VERSION,
  completes: 'versions',
  summary: 'take the offer of a release away for good',
  description:
    'The release and its images are removed from the repository. Hosts that have installed it stay on it until a newer release; gantry release recall sends them back instead.',
  options: [...repositoriesOptions, dryRunOption],
  examples: [`gantry wave abort 1.2.0 && ${SIGN_AND_PUBLISH}`],
  async run(context, [version = ''], options) {
    const { removalOf } = await import('../../lib/publish/edit.ts');
    return draftEdit(context, options, {
      version,
      changesFor: (standing, repository) => removalOf(standing, { ...repository, version }),
      sentence: async (edit) => removalSentence(edit, { ...edit.repository, version }, context.now),
    });
  },
};
