import type { LintFinding } from '../../lib/errors.ts';
import type { ReadFile } from '../../lib/publish/inspect.ts';
import type { StorePath } from '../../lib/store/store.ts';
import type { Context } from '../context.ts';
import { repositoriesOf } from '../edits.ts';
import { judgedAt, momentOptions } from '../moment.ts';
import { folderReader, folderUrl, isUrl, FILE_MAX_BYTES } from '../folder.ts';
import { repositoriesOptions, textOption } from '../options.ts';
import type { CommandSpec, OptionValues } from '../program.ts';
import { openWorkspaceSession } from '../session.ts';
import { describeFindings, findingsOutcome } from '../ui/findings.ts';

/** The two folders of a repository. */
interface Readers {
  readonly metadata: ReadFile;
  readonly targets: ReadFile;
}

export const lint: CommandSpec = {
  name: 'lint',
  arguments: [['[repository]', 'the folder of timestamp.json: a directory or a URL, of any tool (default: the store of the workspace)']],
  summary: 'say what TUF clients and hosts would stumble over in a repository',
  description:
    'Checks metadata against what tough, python-tuf, go-tuf and tuf-js all accept, and what the manifest offers against what hosts can install. It does not decide trust: see gantry verify.',
  options: [
    { flags: '--targets-url <url>', description: 'where targets are, a directory or a URL (default: ../../targets/ from the metadata)' },
    ...repositoriesOptions,
    ...momentOptions,
  ],
  examples: ['gantry lint', 'gantry lint ./public/metal/x86_64', 'gantry lint https://updates.example.com/metal/x86_64 --json'],
  async run(context, [repository], options) {
    if (repository !== undefined) await refuseChoice(options);
    const now = await judgedAt(context, options);
    const found: { readonly name: string; readonly files: number; readonly findings: readonly LintFinding[] }[] = [];
    for (const [name, readers] of await readersOf(context, repository, options)) found.push({ name, ...(await lintOne(now, readers)) });
    const files = found.reduce((sum, one) => sum + one.files, 0);
    const findings = found.flatMap((one) => one.findings);
    return findingsOutcome(findings, {
      json: { files, findings, ...(found.length > 1 ? { repositories: found } : {}) },
      lines: found.flatMap((one) =>
        one.findings.length === 0 ? [] : [...(found.length > 1 ? [`${one.name}:`] : []), ...describeFindings(one.findings)],
      ),
      looked: [files, 'metadata file'],
    });
  },
};

async function lintOne(now: Date, readers: Readers): Promise<{ readonly files: number; readonly findings: readonly LintFinding[] }> {
  const { readOffer, readRepositoryFiles } = await import('../../lib/publish/inspect.ts');
  const { lintRepository } = await import('../../lib/tuf/lint.ts');
  const { lintMissingManifest, lintRelease } = await import('../../lib/release/lint.ts');
  const { verityImageBytes } = await import('../../lib/image/verity.ts');
  const files = await readRepositoryFiles(readers.metadata);
  const offer = await readOffer(files, readers.targets);
  const single = [files.timestamp, files.snapshot, files.targets].filter((file) => file !== undefined);
  return {
    files: files.roots.length + single.length + (files.delegated?.length ?? 0),
    findings: [
      ...lintRepository(files),
      ...(offer === 'missing' ? lintMissingManifest() : []),
      ...(typeof offer === 'object' ? lintRelease(offer, offer.manifest, { now, treeBytes: verityImageBytes }) : []),
    ],
  };
}

/** What is to be looked at, by name. */
async function readersOf(
  context: Context,
  repository: string | undefined,
  options: OptionValues,
): Promise<readonly (readonly [name: string, readers: Readers])[]> {
  const elsewhere = textOption(options, 'targetsUrl');
  const given = elsewhere === undefined ? undefined : await folderReader(context, elsewhere);
  if (repository === undefined) {
    const ofStore = await storeReaders(context, options);
    return ofStore.map(([name, readers]) => [name, { ...readers, ...(given === undefined ? {} : { targets: given }) }]);
  }
  const { TARGETS_FROM_METADATA } = await import('../../lib/client/folder-url.ts');
  const besides = isUrl(repository) ? new URL(TARGETS_FROM_METADATA, folderUrl(repository)).href : `${repository}/${TARGETS_FROM_METADATA}`;
  const metadata = await folderReader(context, repository);
  await refuseOtherFolder(repository, metadata);
  return [[repository, { metadata, targets: given ?? (await folderReader(context, besides)) }]];
}

/** A folder is one repository; these choose among those of the workspace. */
async function refuseChoice(options: OptionValues): Promise<void> {
  const option = ['variant', 'arch', 'store'].find((name) => options[name] !== undefined);
  if (option === undefined) return;
  const problem = `Cannot use --${option} together with a folder: it chooses a repository of the workspace; expected one of them`;
  const { GantryError } = await import('../../lib/errors.ts');
  throw new GantryError('usage/option', problem, { option: `--${option}` });
}

/** @throws GantryError `files/missing` or `http/missing` */
async function refuseOtherFolder(folder: string, read: ReadFile): Promise<void> {
  if ((await read('timestamp.json')) !== undefined || (await read('1.root.json')) !== undefined) return;
  const { GantryError, quote } = await import('../../lib/errors.ts');
  const problem = `Cannot lint ${quote(folder)}: neither timestamp.json nor 1.root.json is there; expected the folder of timestamp.json`;
  if (isUrl(folder)) throw new GantryError('http/missing', problem, { url: folder, status: 404 });
  throw new GantryError('files/missing', problem, { path: folder });
}

async function storeReaders(context: Context, options: OptionValues): Promise<readonly (readonly [string, Readers])[]> {
  const session = await openWorkspaceSession(context, options);
  const { readObject } = await import('../../lib/publish/read-object.ts');
  const { metadataPath, targetPath } = await import('../../lib/store/layout.ts');
  const read = async (path: StorePath): Promise<Uint8Array | undefined> => (await readObject(session.store, path, FILE_MAX_BYTES))?.bytes;
  return (await repositoriesOf(session, options)).map(({ variant, arch }) => [
    `${variant}/${arch}`,
    { metadata: async (name) => read(metadataPath(variant, arch, name)), targets: async (name) => read(targetPath(name)) },
  ]);
}
