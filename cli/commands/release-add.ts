import { isUtf8 } from 'node:buffer';
import type { AddedRelease } from '../../lib/publish/release.ts';
import type { PrepareProgress } from '../../lib/workspace/compress-image.ts';
import type { RepositoryName } from '../../lib/workspace/config.ts';
import type { MigrationInput, ReleaseInput } from '../../lib/workspace/prepare-release.ts';
import type { Context } from '../context.ts';
import { repositoriesOf, titleOf } from '../edits.ts';
import { extraTarget } from '../extra-target.ts';
import { dryRunOption, isSet, listOf, numberOption, pathOf, repositoriesOptions, textOption } from '../options.ts';
import type { CommandSpec, OptionSpec, OptionValues, Outcome } from '../program.ts';
import { checkImageOptions, imageFileOptions, imagesFrom } from '../release-images.ts';
import { openWorkspaceSession, type WorkspaceSession } from '../session.ts';
import { describeFindings } from '../ui/findings.ts';
import { count, formatBytes } from '../ui/format.ts';
import type { Progress } from '../ui/progress.ts';
import { table } from '../ui/table.ts';
import { policyFromOptions, scheduleSentence } from '../waves.ts';

const imageOptions: readonly OptionSpec[] = [
  ...imageFileOptions,
  {
    flags: '--compression <format>',
    description: 'what hosts download; stock Bottlerocket hosts read lz4 only',
    default: 'zstd',
    choices: ['zstd', 'lz4', 'both'],
  },
  { flags: '--level <n>', description: 'zstd level, 1 to 22', default: '3' },
  { flags: '--no-verity-check', description: 'do not look whether boot, root and hash image belong together' },
  { flags: '--build <id>', description: 'part of the target names (default: from the root image)' },
];

const aboutOptions: readonly OptionSpec[] = [
  {
    flags: '--wave-policy <name>',
    completes: 'policies',
    description: 'policies/waves/NAME.toml, or the path of a policy (default: everyone at once)',
  },
  { flags: '--start <time>', description: 'when the waves start: RFC 3339, or from now, such as "in 2 hours" (default: now)' },
  { flags: '--exact', description: 'the waves that pubsys would write, not the narrow ones that stock hosts need' },
  { flags: '--max-version <version>', description: 'the highest version that hosts may be on (default: as stock tools choose)' },
  { flags: '--severity <level>', description: 'how much hosts need it', choices: ['low', 'moderate', 'important', 'critical'] },
  { flags: '--notes <text>', description: 'for people: what is new' },
  { flags: '--notes-file <file>', description: 'read the notes from a file' },
];

const targetOptions: readonly OptionSpec[] = [
  { flags: '--migrations <path>', description: 'a migration, a directory of them, or Release.toml; may be repeated', repeat: true },
  { flags: '--target <[name=]file>', description: 'one more file to sign and publish; may be repeated', repeat: true },
  {
    flags: '--link-target <[name=]file>',
    description: 'the same without a copy: the file must stay as it is until it is published',
    repeat: true,
  },
];

export const add: CommandSpec = {
  name: 'add',
  arguments: [['<version>', 'SemVer, for example 1.2.0']],
  summary: 'draft a release from three partition images, or from a disk image',
  description:
    'Compresses and measures the images and drafts the release. Nothing is published before gantry publish. With several repositories, {variant}, {arch} and {version} in a path stand for each of them.',
  options: [...imageOptions, ...aboutOptions, ...targetOptions, ...repositoriesOptions, dryRunOption],
  examples: [
    'gantry release add 1.2.0 --boot boot.img --root root.img --hash hash.img',
    'gantry release add 1.2.0 --boot boot.img --root root.img --hash hash.img --wave-policy default-waves --severity important',
    'gantry release add 1.2.0 --disk build/{variant}-{arch}.img --arch all',
    'gantry release add 1.2.0 --boot {arch}/boot.img --root {arch}/root.img --hash {arch}/hash.img --arch all',
  ],
  async run(context, [version = ''], options) {
    const session = await openWorkspaceSession(context, options);
    const repositories = await repositoriesOf(session, options);
    await checkImageOptions(repositories, options);
    const shared = await sharedInput(context, options, version);
    const inputs: ReleaseInput[] = [];
    for (const repository of repositories) inputs.push({ ...shared, ...(await inputFor(context, options, repository, version)) });
    const { checkRelease } = await import('../../lib/publish/release.ts');
    const { rolloutStatus } = await import('../../lib/release/rollout-status.ts');
    const sentences = new Map<RepositoryName, string>();
    for (const input of inputs) {
      const { update } = await checkRelease(session.workspace, session.store, { ...input, now: context.now });
      const { ends } = rolloutStatus(update, context.now);
      sentences.set(input.repository, `${titleOf(update)}: ${scheduleSentence(update.waves, ends, context.now)}`);
    }
    for (const sentence of sentences.values()) context.say(sentence);
    if (isSet(options, 'dryRun')) {
      const names = repositories.map(({ variant, arch }) => `${variant}/${arch}`);
      return {
        json: { dryRun: true, version, repositories: repositories.map((one) => ({ ...one, sentence: sentences.get(one) })) },
        lines: [`Would draft release ${version} of ${names.join(', ')}.`],
      };
    }
    return addAll(context, session, inputs, sentences);
  },
};

async function addAll(
  context: Context,
  session: WorkspaceSession,
  inputs: readonly ReleaseInput[],
  sentences: ReadonlyMap<RepositoryName, string>,
): Promise<Outcome> {
  const { withWorkspaceLock } = await import('../../lib/workspace/workspace.ts');
  const { addRelease } = await import('../../lib/publish/release.ts');
  const added: (AddedRelease & { readonly repository: RepositoryName })[] = [];
  await withWorkspaceLock(session.workspace, async () => {
    for (const input of inputs) {
      const onProgress = compressionProgress(context, inputs.length > 1 ? input.repository : undefined);
      const one = await addRelease(session.workspace, session.store, { ...input, now: context.now, onProgress });
      added.push({ ...one, repository: input.repository });
    }
  });
  return {
    json: {
      releases: added.map(({ release, repository, draftPath, warnings }) => ({
        ...repository,
        ...release,
        sentence: sentences.get(repository),
        warnings,
        draft: draftPath,
      })),
    },
    lines: [...added.flatMap(describe), '', 'Next: gantry sign && gantry publish'],
  };
}

function describe({ release, repository, warnings }: AddedRelease & { readonly repository: RepositoryName }): readonly string[] {
  const rows = release.targets.map(({ path, object }) => [`  ${path}`, formatBytes(object.lengthBytes)]);
  return [
    `Drafted release ${release.version} of ${repository.variant}/${repository.arch}: ${formatBytes(release.rawBytes)} of images, ${formatBytes(release.publishedBytes)} to publish.`,
    ...table(rows, { head: ['  target', 'size'], right: [1] }),
    ...(release.asTheyAre.length === 0 ? [] : ['', `Compressed already and published as they are: ${release.asTheyAre.join(', ')}.`]),
    '',
    ...(release.rootHash === undefined
      ? ['Whether boot, root and hash image belong together was not looked at.']
      : ['The hash image is the tree of the root image, whose root hash is', `  ${release.rootHash}`]),
    ...(release.reused.length === 0
      ? []
      : [
          '',
          `${count(release.reused.length, 'compressed image')} came out of the cache: compressed before, and compared with the image once more.`,
        ]),
    ...(warnings.length === 0 ? [] : ['', ...describeFindings(warnings)]),
  ];
}

/** What all repositories have in common. */
async function sharedInput(
  context: Context,
  options: OptionValues,
  version: string,
): Promise<Pick<ReleaseInput, 'version' | 'compression' | 'level' | 'build' | 'about' | 'verity' | 'signal'>> {
  const compression = textOption(options, 'compression');
  const build = textOption(options, 'build');
  return {
    version,
    compression: compression === 'lz4' || compression === 'both' ? compression : 'zstd',
    level: numberOption(options, 'level', { min: 1, max: 22 }) ?? 3,
    ...(build === undefined ? {} : { build }),
    about: await aboutOf(context, options),
    // commander's way with options that begin with --no.
    verity: options['verityCheck'] === false ? 'skip' : 'check',
    signal: context.signal,
  };
}

async function aboutOf(context: Context, options: OptionValues): Promise<NonNullable<ReleaseInput['about']>> {
  const { GantryError } = await import('../../lib/errors.ts');
  const policy = textOption(options, 'wavePolicy');
  for (const option of ['start', 'exact']) {
    if (policy === undefined && options[option] !== undefined) {
      throw new GantryError('usage/option', `Cannot use --${option} without --wave-policy: there are no waves to which it could apply`, {
        option: `--${option}`,
      });
    }
  }
  const [maxVersion, severity] = [textOption(options, 'maxVersion'), textOption(options, 'severity')];
  const notes = await notesOf(context, options);
  return {
    ...(policy === undefined ? {} : await policyFromOptions(context, options, policy)),
    ...(maxVersion === undefined ? {} : { maxVersion }),
    ...(severity === undefined ? {} : { severity }),
    ...(notes === undefined ? {} : { notes }),
  };
}

const NOTES_MAX_BYTES = 1 << 16;

async function notesOf(context: Context, options: OptionValues): Promise<string | undefined> {
  const file = textOption(options, 'notesFile');
  if (file === undefined) return textOption(options, 'notes');
  const { GantryError, quote } = await import('../../lib/errors.ts');
  const refuse = (problem: string): Error =>
    new GantryError('usage/option', `Cannot use --notes-file ${problem}`, { option: '--notes-file' });
  if (textOption(options, 'notes') !== undefined) throw refuse('together with --notes: expected one of them');
  const { readWholeFile } = await import('../../lib/files/read.ts');
  const bytes = await readWholeFile(pathOf(context, file), { maxBytes: NOTES_MAX_BYTES });
  if (!isUtf8(bytes)) throw refuse(`${quote(file)}: it is not UTF-8; expected text`);
  return Buffer.from(bytes).toString('utf8').trimEnd();
}

async function inputFor(
  context: Context,
  options: OptionValues,
  repository: RepositoryName,
  version: string,
): Promise<Pick<ReleaseInput, 'repository' | 'images' | 'findings' | 'migrations' | 'extraTargets'>> {
  const fill = (text: string): string =>
    text.replaceAll('{variant}', repository.variant).replaceAll('{arch}', repository.arch).replaceAll('{version}', version);
  const paths = listOf(options, 'migrations').map((path) => pathOf(context, fill(path)));
  return {
    repository,
    ...(await imagesFrom(context, options, fill)),
    ...(paths.length === 0 ? {} : { migrations: await migrationsFrom(paths) }),
    extraTargets: [
      ...listOf(options, 'target').map((text) => extraTarget(context, fill(text), 'copy')),
      ...listOf(options, 'linkTarget').map((text) => extraTarget(context, fill(text), 'link')),
    ],
  };
}

async function migrationsFrom(paths: readonly string[]): Promise<MigrationInput> {
  const { findMigrationFiles } = await import('../../lib/workspace/prepare-targets.ts');
  const { readReleaseFile } = await import('../../lib/workspace/policies.ts');
  const [list, ...more] = paths.filter((path) => path.endsWith('.toml'));
  const files = await findMigrationFiles(paths.filter((path) => !path.endsWith('.toml')));
  if (list === undefined) return { files };
  if (more.length > 0) {
    const { GantryError } = await import('../../lib/errors.ts');
    throw new GantryError('usage/option', 'Cannot use --migrations with two lists: expected one Release.toml', { option: '--migrations' });
  }
  return { files, steps: (await readReleaseFile(list)).migrations };
}

/** One bar for each step of each form of each image. */
function compressionProgress(context: Context, repository: RepositoryName | undefined): (event: PrepareProgress) => void {
  const bars = new Map<string, Progress>();
  const of = repository === undefined ? '' : ` of ${repository.variant}/${repository.arch}`;
  return ({ step, image, compression, bytes, totalBytes }) => {
    const label = `${step === 'check' ? 'Comparing' : 'Compressing'} the ${image} image${of} ${step === 'check' ? 'with the cache ' : ''}(${compression})`;
    const bar = bars.get(label) ?? context.progress({ label, totalBytes });
    bars.set(label, bar);
    bar.at(bytes);
    if (bytes === totalBytes) bar.done();
  };
}
