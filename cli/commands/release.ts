import { named } from '../../lib/errors.ts';
import type { Update } from '../../lib/release/manifest.ts';
import type { MigrationStep } from '../../lib/release/migrations.ts';
import type { Context } from '../context.ts';
import { draftEdit, publishedIn, titleOf } from '../edits.ts';
import { dryRunOption, repositoriesOptions, textOption } from '../options.ts';
import type { CommandSpec } from '../program.ts';
import { readReleases, readStandings, type ListedRelease } from '../releases.ts';
import { offeredNow, removalSentence } from '../removal.ts';
import { count, formatBytes, printable, shortId } from '../ui/format.ts';
import { describeRollout, rolloutJson } from '../ui/rollout.ts';
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
          rollout: rolloutJson(rollout),
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
              ]),
              { head: ['variant', 'arch', 'version', 'state', 'rollout'] },
            ),
    };
  },
};

const show: CommandSpec = {
  name: 'show',
  arguments: VERSION,
  completes: 'versions',
  summary: 'show everything about a release',
  options: repositoriesOptions,
  examples: ['gantry release show 1.2.0', 'gantry release show 1.2.0 --json'],
  async run(context, [version], options) {
    const releases = await readReleases(context, options, version);
    const { rolloutStatus } = await import('../../lib/release/rollout-status.ts');
    const { stepsOf } = await import('../../lib/release/migrations.ts');
    const { imageTargetsOf } = await import('../../lib/release/image-targets.ts');
    const described = releases.map((release) => {
      const { update, offer, state } = release;
      const migrations = stepsOf(offer.manifest.migrations).filter(({ to }) => to === update.version);
      const targets = imageTargetsOf(update, offer.targets).map((path) => ({ path, ...offer.targets[path] }));
      return { update, state, targets, rollout: rolloutStatus(update, context.now), migrations };
    });
    return {
      json: {
        releases: described.map(({ update, state, targets, rollout, migrations }) => ({
          variant: update.variant,
          arch: update.arch,
          version: update.version,
          state,
          update,
          targets,
          rollout: rolloutJson(rollout),
          migrations,
        })),
      },
      lines: described.flatMap((one, index) => [...(index === 0 ? [] : ['']), ...describeRelease(context, one)]),
    };
  },
};

function describeStep({ from, to, targets }: MigrationStep): string {
  return `  migrations   ${named(from)} to ${named(to)}: ${targets.length === 0 ? 'none needed' : targets.map(named).join(', ')}`;
}

function describeRelease(
  context: Context,
  found: {
    readonly update: Update;
    readonly state: ListedRelease['state'];
    readonly targets: readonly { readonly path: string; readonly length?: number; readonly hashes?: { readonly sha256: string } }[];
    readonly rollout: Parameters<typeof describeRollout>[0];
    readonly migrations: readonly MigrationStep[];
  },
): readonly string[] {
  const { update, state, targets, rollout, migrations } = found;
  const { severity, notes } = update.gantry ?? {};
  return [
    `${titleOf(update)} (${state})`,
    `  rollout      ${describeRollout(rollout, context.now)}`,
    `  max version  ${update.max_version}`,
    ...(severity === undefined ? [] : [`  severity     ${named(severity)}`]),
    ...(notes === undefined
      ? []
      : notes
          .split('\n')
          .map(printable)
          .map((line, index) => `  ${index === 0 ? 'notes      ' : '           '}  ${line}`)),
    ...migrations.map(describeStep),
    ...table(
      // Frame tables go with their images, and whole digests are wider than a terminal: --json has them.
      targets
        .filter(({ path }) => !path.endsWith('.frames'))
        .map(({ path, length, hashes }) => [
          `  ${named(path)}`,
          length === undefined ? 'missing' : formatBytes(length),
          shortId(hashes?.sha256 ?? ''),
        ]),
      { head: ['  image', 'size', 'sha256'], right: [1] },
    ),
  ];
}

const path: CommandSpec = {
  name: 'path',
  completes: 'versions',
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
  completes: 'versions',
  summary: 'take a release and its images out of the repository',
  description:
    'For releases that nobody needs any more. Files that are published stay in the store. To stop a rollout, see gantry wave abort.',
  options: [...repositoriesOptions, dryRunOption],
  examples: ['gantry release remove 1.0.0 && gantry sign && gantry publish'],
  async run(context, [version = ''], options) {
    const { removalOf } = await import('../../lib/publish/edit.ts');
    return draftEdit(context, options, {
      version,
      changesFor: (standing, repository) => removalOf(standing, { ...repository, version }),
      async sentence(edit) {
        const { before, after, repository } = edit;
        const gone = Object.keys(before.targets).filter((name) => !Object.hasOwn(after.targets, name)).length;
        return removalSentence(edit, { ...repository, version }, context.now, `, and ${count(gone, 'target')} of it go with it`);
      },
    });
  },
};

const recall: CommandSpec = {
  name: 'recall',
  arguments: VERSION,
  completes: 'versions',
  summary: 'withdraw a release and send its hosts back to an older one',
  description:
    'Lowers max_version: hosts above it take the older release at their next check. Refused unless every one of them can: the older release must be open to the whole fleet, and a chain of migrations must lead back.',
  options: [
    { flags: '--to <version>', completes: 'versions', description: 'the release that hosts go back to', required: true },
    ...repositoriesOptions,
    dryRunOption,
  ],
  examples: ['gantry release recall 1.2.0 --to 1.1.0 && gantry sign && gantry publish'],
  async run(context, [version = ''], options) {
    const to = textOption(options, 'to') ?? '';
    const { versionsAbove } = await import('../../lib/release/recall.ts');
    const { isPeer, isWithdrawn } = await import('../../lib/release/find.ts');
    return draftEdit(context, options, {
      version,
      changesFor: (_, repository) => [{ kind: 'recall', update: { ...repository, version }, to, at: context.now.toISOString() }],
      async sentence(edit) {
        const name = { ...edit.repository, version };
        const now = await offeredNow(await publishedIn(edit, name), context.now);
        const others = versionsAbove(edit.before.manifest, name, to).filter((one) => one !== version);
        const offered = edit.before.manifest.updates
          .filter((update) => isPeer(update, name) && !isWithdrawn(update) && others.includes(update.version))
          .map((update) => update.version);
        const hidden = offered.length === 0 ? '' : `, nor ${offered.join(', ')}`;
        const running = others.length === 0 ? 'it' : `it, or ${others.join(', ')},`;
        return `${titleOf(name)}: once this is published, nobody is offered it${now}${hidden}, and hosts that run ${running} go back to ${to} at their next check.`;
      },
    });
  },
};

export const release: CommandSpec = {
  name: 'release',
  summary: 'draft, look at, recall and remove releases',
  subcommands: [add, list, show, path, recall, remove, releaseLint],
};
