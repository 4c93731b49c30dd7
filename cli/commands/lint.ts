import { isGantryError, type LintFinding } from '../../lib/errors.ts';
import type { ReadFile } from '../../lib/publish/inspect.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { pathOf, repositoryOptions, textOption } from '../options.ts';
import type { CommandSpec, OptionValues } from '../program.ts';
import { openWorkspaceSession } from '../session.ts';
import { count } from '../ui/format.ts';
import { paintResult, sign } from '../ui/style.ts';

const METADATA_MAX_BYTES = 64 << 20;

export const lint: CommandSpec = {
  name: 'lint',
  arguments: [['[repository]', 'the folder of timestamp.json: a directory or a URL, of any tool (default: the store of the workspace)']],
  summary: 'say which TUF clients would stumble over a repository',
  description: 'Checks metadata against what tough, python-tuf, go-tuf and tuf-js all accept. It does not decide trust: see gantry verify.',
  options: repositoryOptions,
  examples: ['gantry lint', 'gantry lint ./public/metal/x86_64', 'gantry lint https://updates.example.com/metal/x86_64 --json'],
  async run(context, [repository], options) {
    const { readRepositoryFiles } = await import('../../lib/publish/inspect.ts');
    const { lintRepository } = await import('../../lib/tuf/lint.ts');
    const read = await readerOf(context, repository, options);
    const files = await readRepositoryFiles(read);
    const findings = lintRepository(files);
    const errors = findings.filter(({ severity }) => severity === 'error').length;
    const roles =
      files.roots.length +
      [files.timestamp, files.snapshot, files.targets].filter((file) => file !== undefined).length +
      (files.delegated?.length ?? 0);
    return {
      json: { files: roles, errors, warnings: findings.length - errors, findings },
      lines: [
        ...findings.map(describe),
        ...(findings.length === 0 ? [] : ['']),
        `${count(roles, 'metadata file')}: ${count(errors, 'error')}, ${count(findings.length - errors, 'warning')}.`,
      ],
      exitCode: errors > 0 ? EXIT.input : EXIT.done,
    };
  },
};

function describe({ rule, severity, at, message }: LintFinding): string {
  const mark = severity === 'error' ? paintResult('red', sign.failed) : paintResult('yellow', '!');
  return `${mark} rule ${rule}: ${at}: ${message}`;
}

async function readerOf(context: Context, repository: string | undefined, options: OptionValues): Promise<ReadFile> {
  if (repository === undefined) return storeReader(context, options);
  return /^https?:\/\//u.test(repository) ? httpReader(context, repository) : directoryReader(pathOf(context, repository));
}

async function storeReader(context: Context, options: OptionValues): Promise<ReadFile> {
  const { workspace, store } = await openWorkspaceSession(context, options);
  const { chooseRepository } = await import('../../lib/workspace/workspace.ts');
  const { readObject } = await import('../../lib/publish/live-state.ts');
  const { metadataPath } = await import('../../lib/store/layout.ts');
  const { variant, arch } = chooseRepository(workspace, { variant: textOption(options, 'variant'), arch: textOption(options, 'arch') });
  return async (name) => (await readObject(store, metadataPath(variant, arch, name), METADATA_MAX_BYTES))?.bytes;
}

async function directoryReader(directory: string): Promise<ReadFile> {
  const { join } = await import('node:path');
  const { readWholeFile } = await import('../../lib/files/read.ts');
  return async (name) => unlessMissing(readWholeFile(join(directory, name), { maxBytes: METADATA_MAX_BYTES }));
}

async function httpReader(context: Context, text: string): Promise<ReadFile> {
  const { createHttpClient } = await import('../../lib/http/request.ts');
  const http = createHttpClient();
  const folder = new URL(text.endsWith('/') ? text : `${text}/`);
  return async (name) => unlessMissing(http.fetchBytes(new URL(name, folder), { maxBytes: METADATA_MAX_BYTES, signal: context.signal }));
}

async function unlessMissing(reading: Promise<Uint8Array>): Promise<Uint8Array | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isGantryError(error, 'files/missing') || isGantryError(error, 'http/missing')) return undefined;
    throw error;
  }
}
