import { named } from '../../lib/errors.ts';
import type { Update } from '../../lib/release/manifest.ts';
import type { Context } from '../context.ts';
import { draftEdit, titleOf } from '../edits.ts';
import { dryRunOption, repositoriesOptions, textOption } from '../options.ts';
import type { CommandSpec } from '../program.ts';
import { readReleases, readStandings, type ListedRelease } from '../releases.ts';
import { formatBytes, printable } from '../ui/format.ts';
import { describeRollout, formatShare } from '../ui/rollout.ts';
import { table } from '../ui/table.ts';
import { add } from './release-add.ts';
import { releaseLint } from './release-lint.ts';

const VERSION = [['<version>', 'the release, for example 1.2.0']] as const;

const list: CommandSpec = {
  name: 'list',
  summary: 'show the releases of every repository, and who is offered them',
  options: repositoriesOptions,
  examples: ['gantry release list', 'gantry release list --variant metal --json'],
  async run(context, _, options) {
    const { rolloutStatus } = await import('../../lib/release/rollout-status.ts');
    const releases = (await readReleases(context, options)).map((one) => ({ ...one, rollout: rolloutStatus(one.update, context.now) }));
    return {
      json: {
        releases: releases.map(({ update: { variant, arch, version, max_version, gantry }, state, rollout }) => ({
          variant,
          arch,
          version,
          state,
          maxVersion: max_version,
          ...(gantry?.severity === undefined ? {} : { severity: gantry.severity }),
          rollout,
        })),
      },
      lines:
        releases.length === 0
          ? ['No release yet.']
          : table(
              releases.map(({ update, state, rollout }) => [
                named(update.variant),
                named(update.arch),
                update.version,
                state,
                describeRollout(rollout, context.now),
                named(update.gantry?.severity ?? '-'),
              ]),
              { head: ['variant', 'arch', 'version', 'state', 'offered to', 'severity'] },
            ),
    };
  },
};

const show: CommandSpec = {
  name: 'show',
  arguments: VERSION,
  summary: 'show everything about a release',
  options: repositoriesOptions,
  examples: ['gantry release show 1.2.0', 'gantry release show 1.2.0 --json'],
  async run(context, [version], options) {
    const releases = await readReleases(context, options, version);
    const { rolloutStatus } = await import('../../lib/release/rollout-status.ts');
    const { imageTargetsOf } = await import('../../lib/release/image-targets.ts');
    const described = releases.map((release) => {
      const { update, offer, state } = release;
      const targets = imageTargetsOf(update, offer.targets).map((path) => ({ path, ...offer.targets[path] }));
      return { update, state, targets, rollout: rolloutStatus(update, context.now), steps: stepsTo(release) };
    });
    return {
      json: { releases: described },
      lines: described.flatMap((one, index) => [...(index === 0 ? [] : ['']), ...describeRelease(context, one)]),
    };
  },
};

function stepsTo({ offer, update }: ListedRelease): readonly (readonly [string, readonly string[]])[] {
  return Object.entries(offer.manifest.migrations).filter(([key]) => key.endsWith(`, ${update.version})`));
}

function describeRelease(
  context: Context,
  found: {
    readonly update: Update;
    readonly state: ListedRelease['state'];
    readonly targets: readonly { readonly path: string; readonly length?: number; readonly hashes?: { readonly sha256: string } }[];
    readonly rollout: Parameters<typeof describeRollout>[0];
    readonly steps: ReturnType<typeof stepsTo>;
  },
): readonly string[] {
  const { update, state, targets, rollout, steps } = found;
  const { severity, notes } = update.gantry ?? {};
  return [
    `${titleOf(update)} (${state})`,
    `  offered to   ${describeRollout(rollout, context.now)}`,
    `  max version  ${update.max_version}`,
    ...(severity === undefined ? [] : [`  severity     ${named(severity)}`]),
    ...(notes === undefined
      ? []
      : notes
          .split('\n')
          .map(printable)
          .map((line, index) => `  ${index === 0 ? 'notes      ' : '           '}  ${line}`)),
    ...steps.map(([key, names]) => `  migrations   ${key}: ${names.length === 0 ? 'none needed' : names.map(named).join(', ')}`),
    ...table(
      targets.map(({ path, length, hashes }) => [
        `  ${named(path)}`,
        length === undefined ? 'missing' : formatBytes(length),
        hashes?.sha256 ?? '',
      ]),
      { head: ['  image', 'size', 'sha256'], right: [1] },
    ),
  ];
}

const path: CommandSpec = {
  name: 'path',
  arguments: [
    ['<from>', 'the version that a host runs'],
    ['<to>', 'the version that it moves to, newer or older'],
  ],
  summary: 'show which migrations take a host from one version to another',
  options: repositoriesOptions,
  examples: ['gantry release path 1.0.0 1.2.0', 'gantry release path 1.2.0 1.1.0 --json'],
  async run(context, [from = '', to = ''], options) {
    const { findMigrations } = await import('../../lib/release/migrations.ts');
    const found = (await readStandings(context, options)).map(({ repository, offer }) => ({
      repository,
      path: findMigrations(offer.manifest.migrations, from, to),
    }));
    return {
      json: { paths: found.map(({ repository, path: way }) => ({ ...repository, from, to, ...way })) },
      lines: found.flatMap(({ repository, path: { direction, steps } }) => [
        `${repository.variant}/${repository.arch}: ${from} to ${to}${direction === 'none' ? ': nothing to do' : `, ${direction}`}`,
        ...steps.map((step) => {
          const [first, second, names] =
            direction === 'backward' ? [step.to, step.from, step.targets.toReversed()] : [step.from, step.to, step.targets];
          return `  ${first} -> ${second}  ${names.length === 0 ? 'no migration' : names.join(', ')}`;
        }),
      ]),
    };
  },
};

const remove: CommandSpec = {
  name: 'remove',
  arguments: VERSION,
  summary: 'take a release and its images out of the repository',
  description:
    'For releases that nobody needs any more. Files that are published stay in the store. To stop a rollout, see gantry wave abort.',
  options: [...repositoriesOptions, dryRunOption],
  examples: ['gantry release remove 1.0.0 && gantry sign && gantry publish'],
  async run(context, [version = ''], options) {
    const { removalOf } = await import('../../lib/publish/edit.ts');
    return draftEdit(context, options, {
      changesFor: (standing, repository) => removalOf(standing, { ...repository, version }),
      sentence({ before, after, repository }) {
        const gone = Object.keys(before.targets).filter((name) => !Object.hasOwn(after.targets, name)).length;
        return `${titleOf({ ...repository, version })}: no host is offered it any more, and ${gone} of its targets go with it; hosts that have installed it stay on it until a newer release is there.`;
      },
    });
  },
};

const recall: CommandSpec = {
  name: 'recall',
  arguments: VERSION,
  summary: 'withdraw a release and send its hosts back to an older one',
  description:
    'Lowers max_version: hosts above it take the older release at their next check. Refused unless every one of them can: the older release must be open to the whole fleet, and a chain of migrations must lead back.',
  options: [
    { flags: '--to <version>', description: 'the release that hosts go back to', required: true },
    ...repositoriesOptions,
    dryRunOption,
  ],
  examples: ['gantry release recall 1.2.0 --to 1.1.0 && gantry sign && gantry publish'],
  async run(context, [version = ''], options) {
    const to = textOption(options, 'to') ?? '';
    const { rolloutStatus } = await import('../../lib/release/rollout-status.ts');
    const { findUpdate } = await import('../../lib/release/find.ts');
    return draftEdit(context, options, {
      changesFor: (_, repository) => [{ kind: 'recall', update: { ...repository, version }, to, at: context.now.toISOString() }],
      sentence({ before, repository }) {
        const name = { ...repository, version };
        const { offered } = rolloutStatus(findUpdate(before.manifest, name), context.now);
        return `${titleOf(name)}: once this is published, nobody is offered it (${formatShare(offered)} of the fleet is now), and hosts that run it go back to ${to} at their next check.`;
      },
    });
  },
};

export const release: CommandSpec = {
  name: 'release',
  summary: 'draft, look at, recall and remove releases',
  subcommands: [add, list, show, path, recall, remove, releaseLint],
};
