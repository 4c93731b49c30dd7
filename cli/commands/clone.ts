import type { Clone, CloneSelection } from '../../lib/publish/clone.ts';
import type { RepositoryName } from '../../lib/workspace/config.ts';
import type { Context } from '../context.ts';
import { authoritiesOf } from '../host.ts';
import { caOption, dryRunOption, isSet, listOf, numberOption, pathOf, textOption } from '../options.ts';
import type { CommandSpec, OptionValues, Outcome } from '../program.ts';
import { refuse, repositoryIn, trustOf, trustOptions } from '../trust.ts';
import { count, formatBytes } from '../ui/format.ts';
import { paintResult, sign } from '../ui/style.ts';

export const clone: CommandSpec = {
  name: 'clone',
  arguments: [
    ['<url>', 'the repository: the folder of timestamp.json, on a server or here (./DIR)'],
    ['<directory>', 'where to: a directory store, new or from an earlier clone'],
  ],
  summary: 'copy a repository, verified',
  description:
    'Copies metadata byte for byte and the targets, as VARIANT/ARCH/ and targets/. It can be stopped anywhere, and run again: that fetches what is missing or new. The copy can be served at any moment.',
  options: [
    ...trustOptions,
    { flags: '--variant <name>', description: 'its variant (default: the folder before the last one in the URL)' },
    { flags: '--arch <name>', description: 'its architecture (default: the last folder in the URL)' },
    { flags: '--targets-url <url>', description: 'where targets are (default: ../../targets/ from the metadata)' },
    { flags: '--metadata-only', description: 'copy no targets' },
    { flags: '--release <version>', description: 'only the images of this release, with every migration; may be repeated', repeat: true },
    { flags: '--target <glob>', description: 'only the manifest and targets with such names; may be repeated', repeat: true },
    { flags: '--concurrency <n>', description: 'files on their way at the same time', default: '4' },
    caOption,
    dryRunOption,
  ],
  examples: [
    'gantry clone https://updates.example.com/metal/x86_64 ./mirror --root 1.root.json',
    'gantry clone https://updates.example.com/metal/x86_64 ./mirror --root 1.root.json --release 1.2.0',
    'gantry clone https://updates.example.com/metal/x86_64 ./mirror --root 1.root.json --metadata-only --dry-run',
  ],
  async run(context, [url = '', directory = ''], options) {
    const selection = await selectionOf(options);
    const trust = await trustOf(context, options, 'clone');
    const repository = await repositoryIn(url, options);
    const { cloneRepository } = await import('../../lib/publish/clone.ts');
    const { findRoots } = await import('../../lib/publish/clone-roots.ts');
    const { sha256Hex } = await import('../../lib/tuf/hash.ts');
    const ca = await authoritiesOf(context, options);
    const targetsUrl = textOption(options, 'targetsUrl');
    const source = { metadataUrl: url, signal: context.signal, ...(ca === undefined ? {} : { ca }) };
    const roots = await findRoots(source, trust);
    const rootSha256 = sha256Hex(roots.root);
    if (trust.kind === 'first-use') {
      context.say(
        `Believing ${roots.version}.root.json of the repository itself, SHA-256 ${rootSha256}: compare it with what its publisher says.`,
      );
    }
    const bar = progressOf(context);
    const mode = isSet(options, 'dryRun') ? 'dry-run' : 'copy';
    try {
      const copied = await cloneRepository({
        ...source,
        ...(targetsUrl === undefined ? {} : { targetsUrl }),
        root: roots.root,
        earlierRoots: roots.earlier,
        directory: pathOf(context, directory),
        repository,
        selection,
        mode,
        concurrency: numberOption(options, 'concurrency', { min: 1, max: 64 }) ?? 4,
        onNotice: (notice) => context.note(notice),
        onProgress: (bytes, totalBytes) => bar.at(bytes, totalBytes),
      });
      bar.done();
      const json = {
        ...(mode === 'dry-run' ? { dryRun: true } : {}),
        directory: pathOf(context, directory),
        repository,
        rootSha256,
        ...copied,
      };
      return { json, lines: mode === 'dry-run' ? wouldCopy(copied) : copiedLines(copied, { repository, directory }) };
    } catch (error) {
      bar.fail();
      throw error;
    }
  },
};

/** No bar before there is something to fetch. */
function progressOf(context: Context): { at(bytes: number, totalBytes: number): void; done(): void; fail(): void } {
  let bar: ReturnType<Context['progress']> | undefined;
  return {
    at(bytes, totalBytes) {
      bar ??= context.progress({ label: 'Copying targets', totalBytes });
      bar.at(bytes);
    },
    done: () => bar?.done(),
    fail: () => bar?.fail(),
  };
}

function wouldCopy({ selected, listed, fetched, fetchedBytes, metadata }: Clone): Outcome['lines'] {
  if (fetched.length + metadata.length === 0)
    return [`Nothing would change: ${selected} of ${count(listed, 'target')} and all metadata are there.`];
  return [
    `Would fetch ${count(fetched.length, 'target')} (${formatBytes(fetchedBytes)}) of ${listed}, and write, in this order:`,
    ...fetched.map((name) => `  ${name}`),
    ...metadata.map((name) => `  ${name}`),
  ];
}

function copiedLines(
  { roles, selected, listed, fetched, fetchedBytes, metadata }: Clone,
  { repository: { variant, arch }, directory }: { readonly repository: RepositoryName; readonly directory: string },
): Outcome['lines'] {
  const part = selected === listed ? `all of its ${count(listed, 'target')}` : `${selected} of its ${count(listed, 'target')}`;
  const news =
    fetched.length + metadata.length === 0
      ? 'nothing was new'
      : `${count(fetched.length, 'target')} (${formatBytes(fetchedBytes)}) and ${count(metadata.length, 'metadata file')} were new`;
  return [
    `${paintResult('green', sign.done)} ${directory} has ${variant}/${arch} at timestamp ${roles.timestamp.version}, root ${roles.root.version}, with ${part}: ${news}.`,
  ];
}

async function selectionOf(options: OptionValues): Promise<CloneSelection> {
  const [versions, globs] = [listOf(options, 'release'), listOf(options, 'target')];
  const isPart = versions.length + globs.length > 0;
  if (!isSet(options, 'metadataOnly')) return isPart ? { kind: 'part', versions, globs } : { kind: 'all' };
  if (!isPart) return { kind: 'metadata' };
  return refuse(
    '--metadata-only',
    'Cannot use --metadata-only together with --release or --target: it copies no targets; expected one of them',
  );
}
