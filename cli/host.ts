/** Looking at a repository as a host does: what `verify` and `download` share. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BundleOptions, OpenOptions, RepositoryClient } from '../lib/client/index.ts';
import { GantryError, quote } from '../lib/errors.ts';
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

/**
 * Refreshes, then works with the client. Without `--state` what was trusted is forgotten afterwards.
 *
 * @param url undefined with `--bundle`
 */
export async function asHost<T>(
  context: Context,
  url: string | undefined,
  options: OptionValues,
  work: (client: RepositoryClient) => Promise<T>,
): Promise<T> {
  const source = await sourceOf(context, url, options);
  const { openRepository } = await import('../lib/client/index.ts');
  const kept = textOption(options, 'state');
  const moment = isMomentGiven(options) ? await judgedAt(context, options) : undefined;
  if (kept !== undefined && moment !== undefined) throw refuseState();
  const stateDirectory = kept === undefined ? await mkdtemp(join(tmpdir(), 'gantry-host-')) : pathOf(context, kept);
  try {
    const client = await openRepository({
      ...source,
      ...(moment === undefined ? {} : { now: () => moment }),
      root: pathOf(context, textOption(options, 'root') ?? ''),
      stateDirectory,
    });
    let told = 0;
    // That something expired was accepted is said even to whoever wants quiet.
    const isLoud = textOption(options, 'acceptExpired') !== undefined;
    const tell = (): void => {
      for (const notice of client.notices.slice(told))
        if (isLoud) context.say(notice);
        else context.note(notice);
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

type Source = Omit<OpenOptions, 'root' | 'stateDirectory'> | Omit<BundleOptions, 'root' | 'stateDirectory'>;

/** What the options say of where bytes come from. */
async function sourceOf(context: Context, url: string | undefined, options: OptionValues): Promise<Source> {
  const bundle = textOption(options, 'bundle');
  if (bundle === undefined) return servedFrom(context, url, options);
  const other = textOption(options, 'targetsUrl') ?? listOf(options, 'mirror')[0] ?? url;
  if (other !== undefined) {
    throw new GantryError('usage/option', `Cannot use --bundle together with ${quote(other)}: expected the one or the other`, {
      option: '--bundle',
    });
  }
  return { bundle: pathOf(context, bundle), ...(await toleranceOf(options)) };
}

/** What `--accept-expired` says. */
export async function toleranceOf(options: OptionValues): Promise<Pick<BundleOptions, 'acceptExpiredMs'>> {
  const text = textOption(options, 'acceptExpired');
  if (text === undefined) return {};
  const { parseOffset } = await import('../lib/release/duration.ts');
  return { acceptExpiredMs: parseOffset(text) * 1000 };
}

/** The options of a repository with a URL. */
export async function servedFrom(
  context: Context,
  url: string | undefined,
  options: OptionValues,
): Promise<Omit<OpenOptions, 'root' | 'stateDirectory'>> {
  if (textOption(options, 'acceptExpired') !== undefined) {
    throw new GantryError(
      'usage/option',
      'Cannot use --accept-expired with a server or a folder: expected --bundle, since only media age',
      {
        option: '--accept-expired',
      },
    );
  }
  if (url === undefined) {
    throw new GantryError('usage/option', 'Cannot look at a repository: there is no URL; expected one, or --bundle FILE', {
      option: '--bundle',
    });
  }
  const ca = await authoritiesOf(context, options);
  const targetsUrl = textOption(options, 'targetsUrl');
  return {
    metadataUrl: url,
    mirrors: listOf(options, 'mirror').map((mirror) => ({ metadataUrl: mirror })),
    onRetry: (error, waitMs) => {
      if (waitMs >= WORTH_TELLING_MS) context.note(`${error.message}; asking again in ${Math.ceil(waitMs / 1000)} s.`);
    },
    ...(ca === undefined ? {} : { ca }),
    ...(targetsUrl === undefined ? {} : { targetsUrl }),
  };
}
