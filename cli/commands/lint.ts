import { isGantryError } from '../../lib/errors.ts';
import type { ReadFile } from '../../lib/publish/inspect.ts';
import type { Context } from '../context.ts';
import { pathOf, repositoryOptions, textOption } from '../options.ts';
import type { CommandSpec, OptionValues } from '../program.ts';
import { openWorkspaceSession } from '../session.ts';
import { describeFindings, findingsOutcome } from '../ui/findings.ts';

const FILE_MAX_BYTES = 64 << 20;
/** Where the published layout has them, seen from VARIANT/ARCH/. */
const TARGETS_FROM_METADATA = '../../targets/';

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
    ...repositoryOptions,
  ],
  examples: ['gantry lint', 'gantry lint ./public/metal/x86_64', 'gantry lint https://updates.example.com/metal/x86_64 --json'],
  async run(context, [repository], options) {
    const { readOffer, readRepositoryFiles } = await import('../../lib/publish/inspect.ts');
    const { lintRepository } = await import('../../lib/tuf/lint.ts');
    const { lintMissingManifest, lintRelease } = await import('../../lib/release/lint.ts');
    const { verityImageBytes } = await import('../../lib/image/verity.ts');
    const readers = await readersOf(context, repository, options);
    const files = await readRepositoryFiles(readers.metadata);
    const offer = await readOffer(files, readers.targets);
    const findings = [
      ...lintRepository(files),
      ...(offer === 'missing' ? lintMissingManifest() : []),
      ...(typeof offer === 'object' ? lintRelease(offer, offer.manifest, { now: context.now, treeBytes: verityImageBytes }) : []),
    ];
    const roles =
      files.roots.length +
      [files.timestamp, files.snapshot, files.targets].filter((file) => file !== undefined).length +
      (files.delegated?.length ?? 0);
    return findingsOutcome(findings, {
      json: { files: roles, findings },
      lines: describeFindings(findings),
      looked: [roles, 'metadata file'],
    });
  },
};

async function readersOf(context: Context, repository: string | undefined, options: OptionValues): Promise<Readers> {
  const elsewhere = textOption(options, 'targetsUrl');
  const given = elsewhere === undefined ? undefined : await folderReader(context, elsewhere);
  if (repository === undefined) {
    const ofStore = await storeReaders(context, options);
    return { ...ofStore, ...(given === undefined ? {} : { targets: given }) };
  }
  const besides = isUrl(repository) ? new URL(TARGETS_FROM_METADATA, folderUrl(repository)).href : `${repository}/${TARGETS_FROM_METADATA}`;
  return { metadata: await folderReader(context, repository), targets: given ?? (await folderReader(context, besides)) };
}

async function storeReaders(context: Context, options: OptionValues): Promise<Readers> {
  const { workspace, store } = await openWorkspaceSession(context, options);
  const { chooseRepository } = await import('../../lib/workspace/workspace.ts');
  const { readObject } = await import('../../lib/publish/live-state.ts');
  const { metadataPath, targetPath } = await import('../../lib/store/layout.ts');
  const { variant, arch } = chooseRepository(workspace, { variant: textOption(options, 'variant'), arch: textOption(options, 'arch') });
  return {
    metadata: async (name) => (await readObject(store, metadataPath(variant, arch, name), FILE_MAX_BYTES))?.bytes,
    targets: async (name) => (await readObject(store, targetPath(name), FILE_MAX_BYTES))?.bytes,
  };
}

function isUrl(text: string): boolean {
  return /^https?:\/\//u.test(text);
}

function folderUrl(text: string): URL {
  return new URL(text.endsWith('/') ? text : `${text}/`);
}

async function folderReader(context: Context, folder: string): Promise<ReadFile> {
  if (!isUrl(folder)) {
    const { join } = await import('node:path');
    const { readWholeFile } = await import('../../lib/files/read.ts');
    const directory = pathOf(context, folder);
    return async (name) => unlessMissing(readWholeFile(join(directory, name), { maxBytes: FILE_MAX_BYTES }));
  }
  const { createHttpClient } = await import('../../lib/http/request.ts');
  const http = createHttpClient();
  const url = folderUrl(folder);
  return async (name) => unlessMissing(http.fetchBytes(new URL(name, url), { maxBytes: FILE_MAX_BYTES, signal: context.signal }));
}

async function unlessMissing(reading: Promise<Uint8Array>): Promise<Uint8Array | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isGantryError(error, 'files/missing') || isGantryError(error, 'http/missing')) return undefined;
    throw error;
  }
}
