/**
 * The directory that a release engineer works in.
 *
 * ```
 * gantry.toml            what it is about
 * policies/              expiry and waves
 * N.root.json            the root chain
 * keys/NAME.pub.pem      public keys by name
 * drafts/                metadata that waits for signatures
 * .gantry/               this machine's own: objects that wait for publication, what was published last, the lock
 * ```
 *
 * Private keys are never here. Everything but `.gantry/` belongs under version control.
 */
import { stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { GantryError, isGantryError, quote } from '../errors.ts';
import { withLock } from '../files/lock.ts';
import { readWholeFile } from '../files/read.ts';
import { parseExpiryPolicy, type ExpiryPolicy } from '../repository/expiry.ts';
import { parseToml } from '../release/toml.ts';
import { parseConfig, type RepositoryName, type WorkspaceConfig } from './config.ts';

export const CONFIG_FILE = 'gantry.toml';
const CONFIG_MAX_BYTES = 1 << 20;
const LOCK_WAIT_MS = 10_000;

export interface Workspace {
  /** Absolute. */
  readonly directory: string;
  readonly config: WorkspaceConfig;
  readonly expiry: ExpiryPolicy;
}

/**
 * The workspace that `start` lies in: the nearest directory upwards with a `gantry.toml`.
 *
 * @throws GantryError `workspace/not-one`, `workspace/bad-config`
 */
export async function openWorkspace(start: string): Promise<Workspace> {
  const directory = await findWorkspace(resolve(start));
  const path = join(directory, CONFIG_FILE);
  const config = parseConfig(await readText(path), path);
  return { directory, config, expiry: await readExpiryPolicy(join(directory, 'policies', 'expiry.toml')) };
}

async function findWorkspace(start: string): Promise<string> {
  for (let directory = start; ; directory = dirname(directory)) {
    const found = await stat(join(directory, CONFIG_FILE)).catch(() => undefined);
    if (found?.isFile() === true) return directory;
    if (dirname(directory) === directory) break;
  }
  throw new GantryError('workspace/not-one', `Cannot open a workspace in ${quote(start)}: there is no ${CONFIG_FILE} in it or above it`, {
    path: start,
  });
}

async function readExpiryPolicy(path: string): Promise<ExpiryPolicy> {
  try {
    return parseExpiryPolicy(parseToml(await readText(path), path).table);
  } catch (error) {
    if (isGantryError(error, 'files/missing')) return parseExpiryPolicy({});
    throw error;
  }
}

async function readText(path: string): Promise<string> {
  return Buffer.from(await readWholeFile(path, { maxBytes: CONFIG_MAX_BYTES })).toString('utf8');
}

/**
 * The repository that is meant: the only one, or the one that these names pick.
 *
 * @throws GantryError `workspace/no-repository`
 */
export function chooseRepository(
  { config }: Pick<Workspace, 'config'>,
  wanted: { readonly variant?: string | undefined; readonly arch?: string | undefined },
): RepositoryName {
  const matches = config.repositories.filter(
    ({ variant, arch }) => variant === (wanted.variant ?? variant) && arch === (wanted.arch ?? arch),
  );
  const [only, second] = matches;
  if (only !== undefined && second === undefined) return only;
  return refuseChoice({ config }, wanted, matches.length);
}

function refuseChoice(
  { config }: Pick<Workspace, 'config'>,
  wanted: { readonly variant?: string | undefined; readonly arch?: string | undefined },
  matches: number,
): never {
  const known = config.repositories.map(({ variant, arch }) => `${variant}/${arch}`).join(', ');
  const variant = wanted.variant ?? '*';
  const arch = wanted.arch ?? '*';
  throw new GantryError(
    'workspace/no-repository',
    `Cannot choose a repository: ${quote(`${variant}/${arch}`)} matches ${matches} of them; expected ${matches === 0 ? 'one' : 'exactly one'} of ${known}`,
    { variant, arch },
  );
}

/**
 * The repositories that are meant: the only one, or those that the names pick; `all` picks every one.
 *
 * @param wanted lists of names; an empty list leaves that half open
 * @throws GantryError `workspace/no-repository` when a name picks none, or nothing says which of several are meant
 */
export function chooseRepositories(
  workspace: Workspace,
  wanted: { readonly variants: readonly string[]; readonly arches: readonly string[] },
): readonly RepositoryName[] {
  const { repositories } = workspace.config;
  const { variants, arches } = wanted;
  if (variants.length === 0 && arches.length === 0) return [chooseRepository(workspace, {})];
  const picks = (names: readonly string[], name: string): boolean => names.length === 0 || names.includes('all') || names.includes(name);
  const chosen = repositories.filter(({ variant, arch }) => picks(variants, variant) && picks(arches, arch));
  for (const variant of variants.length === 0 ? [undefined] : variants) {
    for (const arch of arches.length === 0 ? [undefined] : arches) {
      const hit = chosen.some(
        (one) => picks(variant === undefined ? [] : [variant], one.variant) && picks(arch === undefined ? [] : [arch], one.arch),
      );
      if (!hit) refuseChoice(workspace, { variant, arch }, 0);
    }
  }
  return chosen;
}

/** Runs `work` while no other gantry changes this workspace. @throws GantryError `files/locked` */
export async function withWorkspaceLock<T>(workspace: Workspace, work: () => Promise<T>): Promise<T> {
  return withLock(privatePath(workspace, 'lock.sqlite'), { waitMs: LOCK_WAIT_MS }, work);
}

/** A path under `.gantry/`, which is this machine's own. */
export function privatePath(workspace: Workspace, ...segments: readonly string[]): string {
  return join(workspace.directory, '.gantry', ...segments);
}
