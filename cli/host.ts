/** Looking at a repository as a host does: what `verify` and `download` share. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RepositoryClient } from '../lib/client/index.ts';
import { GantryError } from '../lib/errors.ts';
import type { Context } from './context.ts';
import { isMomentGiven, judgedAt } from './moment.ts';
import { listOf, pathOf, textOption } from './options.ts';
import type { OptionValues } from './program.ts';

/** Shorter pauses are over before they are read. */
const WORTH_TELLING_MS = 1000;
const PEM_MAX_BYTES = 1 << 20;

/** What `--ca` names. @throws GantryError `files/…` */
export async function authoritiesOf(context: Context, options: OptionValues): Promise<Uint8Array | undefined> {
  const file = textOption(options, 'ca');
  if (file === undefined) return undefined;
  const { readWholeFile } = await import('../lib/files/read.ts');
  return readWholeFile(pathOf(context, file), { maxBytes: PEM_MAX_BYTES });
}

/** Refreshes, then works with the client. Without `--state` what was trusted is forgotten afterwards. */
export async function asHost<T>(
  context: Context,
  url: string,
  options: OptionValues,
  work: (client: RepositoryClient) => Promise<T>,
): Promise<T> {
  const ca = await authoritiesOf(context, options);
  const { openRepository } = await import('../lib/client/index.ts');
  const kept = textOption(options, 'state');
  const moment = isMomentGiven(options) ? await judgedAt(context, options) : undefined;
  if (kept !== undefined && moment !== undefined) throw refuseState();
  const stateDirectory = kept === undefined ? await mkdtemp(join(tmpdir(), 'gantry-host-')) : pathOf(context, kept);
  const targetsUrl = textOption(options, 'targetsUrl');
  try {
    const client = await openRepository({
      root: pathOf(context, textOption(options, 'root') ?? ''),
      metadataUrl: url,
      mirrors: listOf(options, 'mirror').map((mirror) => ({ metadataUrl: mirror })),
      stateDirectory,
      onRetry: (error, waitMs) => {
        if (waitMs >= WORTH_TELLING_MS) context.note(`${error.message}; asking again in ${Math.ceil(waitMs / 1000)} s.`);
      },
      ...(ca === undefined ? {} : { ca }),
      ...(moment === undefined ? {} : { now: () => moment }),
      ...(targetsUrl === undefined ? {} : { targetsUrl }),
    });
    let told = 0;
    const tell = (): void => {
      for (const notice of client.notices.slice(told)) context.note(notice);
      told = client.notices.length;
    };
    try {
      await client.refresh({ signal: context.signal });
      tell();
      return await work(client);
    } finally {
      tell();
      client.close();
    }
  } finally {
    if (kept === undefined) await rm(stateDirectory, { recursive: true, force: true });
  }
}

/** What is trusted for another moment must not be remembered as trusted now. */
function refuseState(): GantryError {
  const problem = 'Cannot use --state when another moment is judged: what it keeps is what is trusted now; expected one of them';
  return new GantryError('usage/option', problem, { option: '--state' });
}
