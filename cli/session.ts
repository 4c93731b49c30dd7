/** What most commands open first: the workspace, its store, the keys. */
import type { Store } from '../lib/store/store.ts';
import type { KeyRingOptions } from '../lib/workspace/key-ring.ts';
import type { Workspace } from '../lib/workspace/workspace.ts';
import type { Context } from './context.ts';
import { listOf, numberOption, pathOf, textOption } from './options.ts';
import type { OptionValues } from './program.ts';

export interface WorkspaceSession {
  readonly workspace: Workspace;
  readonly store: Store;
}

/** The workspace, for commands that need nothing of its store. @throws GantryError `workspace/not-one`, `workspace/bad-config` */
export async function openWorkspaceOnly(context: Context, options: OptionValues): Promise<Workspace> {
  const { openWorkspace } = await import('../lib/workspace/workspace.ts');
  return openWorkspace(pathOf(context, textOption(options, 'workspace') ?? '.'));
}

/** @throws GantryError `workspace/not-one`, `workspace/bad-config` */
export async function openWorkspaceSession(context: Context, options: OptionValues): Promise<WorkspaceSession> {
  const { openStore, withStore } = await import('../lib/publish/open-store.ts');
  const configured = await openWorkspaceOnly(context, options);
  const store = textOption(options, 'store');
  const workspace = store === undefined ? configured : withStore(configured, store, context.cwd);
  return { workspace, store: await openStore(workspace, context.env) };
}

export type KeySession = KeyRingOptions & Required<Pick<KeyRingOptions, 'pin' | 'env'>>;

/** Of a workspace, or of a draft that says which product it is for. */
export type OfProduct = { readonly config: Pick<Workspace['config'], 'product'> };

export async function keysDirectoryOf(context: Context, options: OptionValues, workspace: OfProduct): Promise<string> {
  const { defaultKeysDirectory } = await import('../lib/workspace/key-ring.ts');
  const keysDir = textOption(options, 'keysDir');
  return keysDir === undefined ? defaultKeysDirectory(workspace.config.product, context.env) : pathOf(context, keysDir);
}

/** Where private keys are, and who is asked for their passphrase or PIN. */
export async function openKeySession(context: Context, options: OptionValues, workspace: OfProduct): Promise<KeySession> {
  const { passphraseFrom, PIN } = await import('../lib/keys/passphrase.ts');
  const pinFile = textOption(options, 'pinFile');
  const passphrases = passphraseFrom({
    ...passphraseSources(context, options),
    prompt: context.canAsk ? promptOnce(context) : undefined,
  });
  const pin = passphraseFrom(
    {
      file: pinFile === undefined ? undefined : pathOf(context, pinFile),
      env: context.env,
      prompt: context.canAsk ? async (token) => askFor(context, `PIN of ${token}:`) : undefined,
    },
    PIN,
  );
  const only = listOf(options, 'key');
  return {
    keysDirectory: await keysDirectoryOf(context, options, workspace),
    passphrases,
    pin,
    env: context.env,
    ...(only.length === 0 ? {} : { only }),
    signers: listOf(options, 'signer'),
  };
}

export function passphraseSources(
  context: Context,
  options: OptionValues,
): { readonly file: string | undefined; readonly fd: number | undefined; readonly env: NodeJS.ProcessEnv } {
  const file = textOption(options, 'passphraseFile');
  return {
    file: file === undefined ? undefined : pathOf(context, file),
    fd: numberOption(options, 'passphraseFd', { min: 0, max: 1023 }),
    env: context.env,
  };
}

/** The keys of one person usually share a passphrase: it is tried for the next key before the person is asked again. */
function promptOnce(context: Context): (path: string, attempt: number) => Promise<string> {
  let last: string | undefined;
  return async (path, attempt) => {
    if (attempt === 0 && last !== undefined) return last;
    if (attempt > 0) context.note('That passphrase does not open this key.');
    last = await askFor(context, `Passphrase for ${path}:`);
    return last;
  };
}

async function askFor(context: Context, question: string): Promise<string> {
  const { askPassphrase } = await import('./ui/prompt.ts');
  return askPassphrase(question, context.signal);
}
