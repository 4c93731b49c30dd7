import type { PrepareProgress } from '../../lib/workspace/prepare-release.ts';
import type { Context } from '../context.ts';
import { dryRunOption, isSet, numberOption, pathOf, repositoryOptions, textOption } from '../options.ts';
import type { CommandSpec, OptionSpec, Outcome } from '../program.ts';
import { openWorkspaceSession } from '../session.ts';
import { formatBytes } from '../ui/format.ts';
import type { Progress } from '../ui/progress.ts';
import { table } from '../ui/table.ts';

const imageOptions: readonly OptionSpec[] = [
  { flags: '--boot <file>', description: 'boot partition image', required: true },
  { flags: '--root <file>', description: 'root partition image', required: true },
  { flags: '--hash <file>', description: 'dm-verity hash partition image', required: true },
];

const add: CommandSpec = {
  name: 'add',
  arguments: [['<version>', 'SemVer, for example 1.2.0']],
  summary: 'draft a release from three partition images',
  description: 'Compresses and measures the images and drafts the release. Nothing is published before gantry publish.',
  options: [
    ...imageOptions,
    {
      flags: '--compression <format>',
      description: 'what hosts download; stock Bottlerocket hosts read lz4 only',
      default: 'zstd',
      choices: ['zstd', 'lz4', 'both'],
    },
    { flags: '--level <n>', description: 'zstd level, 1 to 22', default: '3' },
    { flags: '--build <id>', description: 'part of the target names (default: from the root image)' },
    ...repositoryOptions,
    dryRunOption,
  ],
  examples: [
    'gantry release add 1.2.0 --boot boot.img --root root.img --hash hash.img',
    'gantry release add 1.2.0 --boot boot.img --root root.img --hash hash.img --compression both --level 19',
  ],
  async run(context, [version = ''], options) {
    const { workspace, store } = await openWorkspaceSession(context, options);
    const { chooseRepository, withWorkspaceLock } = await import('../../lib/workspace/workspace.ts');
    const { addRelease, checkRelease } = await import('../../lib/publish/release.ts');
    const repository = chooseRepository(workspace, { variant: textOption(options, 'variant'), arch: textOption(options, 'arch') });
    const compression = textOption(options, 'compression');
    const build = textOption(options, 'build');
    const input = {
      repository,
      version,
      images: {
        boot: pathOf(context, textOption(options, 'boot') ?? ''),
        root: pathOf(context, textOption(options, 'root') ?? ''),
        hash: pathOf(context, textOption(options, 'hash') ?? ''),
      },
      compression: compression === 'lz4' || compression === 'both' ? compression : 'zstd',
      level: numberOption(options, 'level', { min: 1, max: 22 }) ?? 3,
      ...(build === undefined ? {} : { build }),
      signal: context.signal,
      now: context.now,
    } as const;
    if (isSet(options, 'dryRun')) {
      await checkRelease(workspace, store, input);
      return { json: { dryRun: true, version }, lines: [`Would draft release ${version} of ${repository.variant}/${repository.arch}.`] };
    }
    const progress = compressionProgress(context);
    const { release: added, draftPath } = await withWorkspaceLock(workspace, async () =>
      addRelease(workspace, store, { ...input, onProgress: progress }),
    );
    const rows = added.targets.map(({ path, object }) => [`  ${path}`, formatBytes(object.lengthBytes)]);
    return {
      json: { ...added, draft: draftPath },
      lines: [
        `Drafted release ${version} of ${repository.variant}/${repository.arch}: ${formatBytes(added.rawBytes)} of images, ${formatBytes(added.publishedBytes)} to publish.`,
        ...table(rows, { head: ['  target', 'size'], right: [1] }),
        ...(compression === 'zstd'
          ? ['', 'Stock Bottlerocket hosts cannot install it: they read lz4 only (--compression both serves everybody).']
          : []),
        '',
        'Next: gantry sign && gantry publish',
      ],
    };
  },
};

/** One bar for each form of each image. */
function compressionProgress(context: Context): (event: PrepareProgress) => void {
  const bars = new Map<string, Progress>();
  return ({ image, compression, bytes, totalBytes }) => {
    const label = `Compressing the ${image} image (${compression})`;
    const bar = bars.get(label) ?? context.progress({ label, totalBytes });
    bars.set(label, bar);
    bar.at(bytes);
    if (bytes === totalBytes) bar.done();
  };
}

async function listReleases(context: Context, options: Parameters<NonNullable<CommandSpec['run']>>[2]): Promise<Outcome> {
  const { workspace, store } = await openWorkspaceSession(context, options);
  const { readCurrent } = await import('../../lib/publish/live.ts');
  const { manifestAfter } = await import('../../lib/repository/draft.ts');
  const rows: (readonly [string, string, string, string])[] = [];
  for (const repository of workspace.config.repositories) {
    const { live, draft } = await readCurrent(workspace, store, repository);
    const published = new Set(live.trusted.manifest.updates.map(({ version }) => version));
    const { updates } = manifestAfter(live.trusted, draft?.changes ?? []);
    for (const { variant, arch, version } of updates) rows.push([variant, arch, version, published.has(version) ? 'published' : 'draft']);
  }
  return {
    json: { releases: rows.map(([variant, arch, version, state]) => ({ variant, arch, version, state })) },
    lines: rows.length === 0 ? ['No release yet.'] : table(rows, { head: ['variant', 'arch', 'version', 'state'] }),
  };
}

const list: CommandSpec = {
  name: 'list',
  summary: 'show the releases of every repository',
  run: async (context, _, options) => listReleases(context, options),
};

export const release: CommandSpec = { name: 'release', summary: 'draft and look at releases', subcommands: [add, list] };
