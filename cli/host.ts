/** Looking at a repository as a host does: what `verify` and `download` share. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RepositoryClient } from '../lib/client/index.ts';
import type { Context } from './context.ts';
import { pathOf, textOption } from './options.ts';
import type { OptionValues } from './program.ts';

/** Refreshes, then works with the client. Without `--state` what was trusted is forgotten afterwards. */
export async function asHost<T>(
  context: Context,
  url: string,
  options: OptionValues,
  work: (client: RepositoryClient) => Promise<T>,
): Promise<T> {
  const { openRepository } = await import('../lib/client/index.ts');
  const kept = textOption(options, 'state');
  const stateDirectory = kept === undefined ? await mkdtemp(join(tmpdir(), 'gantry-host-')) : pathOf(context, kept);
  const targetsUrl = textOption(options, 'targetsUrl');
  try {
    const client = await openRepository({
      root: pathOf(context, textOption(options, 'root') ?? ''),
      metadataUrl: url,
      stateDirectory,
      ...(targetsUrl === undefined ? {} : { targetsUrl }),
    });
    try {
      await client.refresh({ signal: context.signal });
      for (const notice of client.notices) context.note(notice);
      return await work(client);
    } finally {
      client.close();
    }
  } finally {
    if (kept === undefined) await rm(stateDirectory, { recursive: true, force: true });
  }
}
