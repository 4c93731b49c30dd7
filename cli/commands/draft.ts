import type { DraftView } from '../../lib/publish/draft-view.ts';
import type { Workspace } from '../../lib/workspace/workspace.ts';
import type { Context } from '../context.ts';
import {
  chooseDrafts,
  keyNames,
  openParcelHere,
  readParcel,
  textOf,
  waitingDrafts,
  WHAT,
  workspaceIfAny,
  type DraftName,
} from '../drafts.ts';
import { dryRunOption, isSet, storeOption } from '../options.ts';
import type { CommandSpec, OptionValues, Outcome } from '../program.ts';
import { openWorkspaceOnly, openWorkspaceSession } from '../session.ts';
import { describeDraft } from '../ui/drafts.ts';
import { count } from '../ui/format.ts';
import { exportDraft, importDraft, mergeDraft } from './draft-file.ts';

const show: CommandSpec = {
  name: 'show',
  arguments: [['[what]', 'root, VARIANT/ARCH, or a file that gantry draft export wrote (default: everything that waits)']],
  summary: 'what a draft changes, and who has signed it',
  description:
    'What a draft means is computed from its bytes and from what is live, never taken from the draft. The digest is that of the bytes to be signed: key holders read it to each other before they sign.',
  options: [storeOption],
  examples: ['gantry draft show', 'gantry draft show root', 'gantry draft show ceremony.draft'],
  async run(context, [what], options) {
    const isFile = what !== undefined && what !== 'root' && what !== 'all' && !(await isRepository(context, options, what));
    const views = isFile ? [await viewFile(context, options, what)] : await viewWaiting(context, options, what);
    const workspace = await workspaceIfAny(context, options);
    const nameOf = await keyNames(workspace);
    const stale = views.some(({ state }) => state === 'conflict');
    return {
      json: { drafts: views },
      lines: [
        ...(views.length === 0 ? ['No draft waits.'] : views.flatMap((view) => ['', ...describeDraft(view, nameOf)]).slice(1)),
        ...(views.length === 0
          ? []
          : ['', `Next: ${isFile ? `gantry draft import ${what}` : stale ? 'gantry draft cancel' : 'gantry sign'}`]),
      ],
    };
  },
};

async function isRepository(context: Context, options: OptionValues, what: string): Promise<boolean> {
  const workspace = await workspaceIfAny(context, options);
  return workspace?.config.repositories.some((repository) => textOf(repository) === what) ?? false;
}

async function viewFile(context: Context, options: OptionValues, file: string): Promise<DraftView> {
  const { viewParcel } = await import('../../lib/publish/draft-view.ts');
  const workspace = await workspaceIfAny(context, options);
  if (workspace === undefined) context.say('There is no workspace here: that the file fits together is all that can be said of it.');
  return viewParcel(await openParcelHere(context, await readParcel(context, file), workspace), await keyNames(workspace));
}

async function viewWaiting(context: Context, options: OptionValues, what: string | undefined): Promise<readonly DraftView[]> {
  const { viewRootDraft, viewRepositoryDraft } = await import('../../lib/publish/draft-view.ts');
  const { workspace, store } = await openWorkspaceSession(context, options);
  const nameOf = await keyNames(workspace);
  const names = what === undefined ? await waitingDrafts(workspace) : await chooseDrafts(workspace, what);
  const views: DraftView[] = [];
  for (const name of names) {
    const one =
      name === 'root'
        ? await viewRootDraft(workspace, nameOf)
        : await viewRepositoryDraft(workspace, store, name, { nameOf, now: context.now });
    if (one !== undefined) views.push(one);
  }
  return views;
}

const cancel: CommandSpec = {
  name: 'cancel',
  arguments: [[WHAT[0], `${WHAT[1]}; all means every one`]],
  summary: 'throw away what is drafted and not published',
  description:
    'The draft goes with its changes, the signatures that it has, and the compressed images that no other draft needs. What is published stays as it is. gantry release remove takes a single release out of the draft.',
  options: [dryRunOption],
  examples: ['gantry draft cancel --dry-run', 'gantry draft cancel root', 'gantry draft cancel all --yes'],
  async run(context, [what], options) {
    const workspace = await openWorkspaceOnly(context, options);
    if (isSet(options, 'dryRun')) return cancelDrafts(context, workspace, what, 'dry-run');
    const { withWorkspaceLock } = await import('../../lib/workspace/workspace.ts');
    return withWorkspaceLock(workspace, async () => cancelDrafts(context, workspace, what, 'cancel'));
  },
};

async function cancelDrafts(
  context: Context,
  workspace: Workspace,
  what: string | undefined,
  mode: 'dry-run' | 'cancel',
): Promise<Outcome> {
  const { forgetDraft } = await import('../../lib/publish/live.ts');
  const { removeRootDraft } = await import('../../lib/workspace/root-files.ts');
  const names = await chooseDrafts(workspace, what);
  const held: Held[] = [];
  for (const name of names) held.push(await heldIn(workspace, name));
  for (const { draft, changes, signatures } of held) {
    const contents = changes === 0 ? 'a refresh, or what cannot be read' : count(changes, 'change');
    const all = draft === 'root' ? count(signatures, 'signature') : `${contents}, ${count(signatures, 'signature')}`;
    context.say(`${draft}: the draft goes with all it holds: ${all}. What is published stays.`);
  }
  const isWanted = mode === 'cancel' && (await context.confirm(`Cancel ${count(names.length, 'draft')}?`));
  if (isWanted) for (const name of names) await (name === 'root' ? removeRootDraft(workspace) : forgetDraft(workspace, name));
  return {
    json: { ...(mode === 'dry-run' ? { dryRun: true } : {}), cancelled: mode === 'dry-run' || isWanted ? held : [] },
    lines: [isWanted ? `Cancelled ${count(names.length, 'draft')}.` : 'Nothing was cancelled.'],
  };
}

interface Held {
  readonly draft: string;
  readonly changes: number;
  readonly signatures: number;
}

/** A draft that cannot be read goes like any other: that is how people get rid of it. */
async function heldIn(workspace: Workspace, name: DraftName): Promise<Held> {
  const { readDraft } = await import('../../lib/workspace/draft-files.ts');
  const { readRootDraft } = await import('../../lib/workspace/root-files.ts');
  const { isGantryError } = await import('../../lib/errors.ts');
  const draft = textOf(name);
  try {
    if (name === 'root') return { draft, changes: 0, signatures: (await readRootDraft(workspace))?.signatures.length ?? 0 };
    const found = await readDraft(workspace, name);
    const { draftedRole, draftedRoles } = await import('../../lib/repository/draft-roles.ts');
    const roles = found === undefined ? [] : draftedRoles(found).map((role) => draftedRole(found, role)?.signatures.length ?? 0);
    return { draft, changes: found?.changes.length ?? 0, signatures: roles.reduce((sum, one) => sum + one, 0) };
  } catch (error) {
    if (!isGantryError(error)) throw error;
    return { draft, changes: 0, signatures: 0 };
  }
}

export const draft: CommandSpec = {
  name: 'draft',
  summary: 'look at drafts, hand them on, put their signatures together',
  subcommands: [show, exportDraft, importDraft, mergeDraft, cancel],
};
