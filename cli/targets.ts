/** What the commands share that edit targets and who signs them: choose repositories, draft, and show the draft as those see it who sign. */
import type { PreparedEdit, StandingTree } from '../lib/publish/edit.ts';
import type { ChoiceOfDelegated } from '../lib/publish/live-state.ts';
import type { DelegationKeys } from '../lib/repository/delegations.ts';
import type { Offer } from '../lib/release/lint.ts';
import type { Change } from '../lib/repository/draft.ts';
import type { RepositoryName } from '../lib/workspace/config.ts';
import type { Workspace } from '../lib/workspace/workspace.ts';
import type { Context } from './context.ts';
import { keyNames } from './drafts.ts';
import { repositoriesOf } from './edits.ts';
import { isSet } from './options.ts';
import type { OptionValues, Outcome } from './program.ts';
import { openWorkspaceSession } from './session.ts';
import { describeRoles, draftTitle } from './ui/drafts.ts';
import { describeFindings } from './ui/findings.ts';
import { paintResult } from './ui/style.ts';

export interface TargetsEdit {
  readonly changesFor: (standing: StandingTree & { readonly offer: Offer }) => readonly Change[];
  /** Delegated roles that change. */
  readonly delegated?: ChoiceOfDelegated;
  /** Said before anything is drafted. */
  readonly notes?: readonly string[];
  /** What could be lost, as a question; asked before it is drafted. */
  readonly question?: (edit: PreparedEdit) => string | undefined;
}

/** Drafts it in every repository that is chosen, or in none. */
export async function draftTargets(
  context: Context,
  options: OptionValues,
  editFor: (workspace: Workspace, repository: RepositoryName) => Promise<TargetsEdit>,
): Promise<Outcome> {
  const session = await openWorkspaceSession(context, options);
  const { workspace, store } = session;
  const { withWorkspaceLock } = await import('../lib/workspace/workspace.ts');
  const { prepareEdit, saveEdit } = await import('../lib/publish/edit.ts');
  const { viewDraft } = await import('../lib/repository/draft-view.ts');
  const dryRun = isSet(options, 'dryRun');
  const nameOf = await keyNames(workspace);
  const work = async (): Promise<Outcome> => {
    const prepared: PreparedEdit[] = [];
    const questions: string[] = [];
    for (const repository of await repositoriesOf(session, options)) {
      const edit = await editFor(workspace, repository);
      const one = await prepareEdit(workspace, store, repository, {
        now: context.now,
        changesFor: (offer, tree) => edit.changesFor({ ...tree, offer }),
        ...(edit.delegated === undefined ? {} : { delegated: edit.delegated }),
      });
      prepared.push(one);
      for (const note of edit.notes ?? []) context.say(note);
      questions.push(...[edit.question?.(one) ?? []].flat());
    }
    const shown = prepared.map(({ repository, draft, trusted }) => ({
      repository,
      roles: draft === undefined ? [] : viewDraft(draft, trusted, nameOf),
    }));
    const lines = shown.flatMap(({ repository, roles }) => [
      paintResult('bold', draftTitle({ repository })),
      ...describeRoles(roles, nameOf),
    ]);
    const json = {
      repositories: shown.map(({ repository, roles }) => ({
        ...repository,
        roles: roles.map(({ role, version, sentences }) => ({ role, version, sentences })),
      })),
    };
    const warnings = describeFindings(prepared.flatMap((one) => one.warnings));
    if (dryRun) return { json: { dryRun, ...json, drafts: [] }, lines: [...warnings, ...lines, '', 'Nothing was drafted.'] };
    const [question] = questions;
    if (question !== undefined && !(await context.confirm(question))) {
      return { json: { ...json, drafts: [] }, lines: ['Nothing was drafted.'] };
    }
    const drafts: string[] = [];
    for (const one of prepared) drafts.push(...[(await saveEdit(workspace, one)) ?? []].flat());
    return { json: { ...json, drafts }, lines: [...warnings, ...lines, '', 'Next: gantry sign && gantry publish'] };
  };
  return dryRun ? work() : withWorkspaceLock(workspace, work);
}

/** Keys of the workspace, by name, and how many of them must sign. */
export async function delegationKeys(workspace: Workspace, names: readonly string[], threshold: number): Promise<DelegationKeys> {
  const { publicKeyNamed } = await import('../lib/workspace/key-ring.ts');
  const keys = await Promise.all(names.map(async (name) => publicKeyNamed(workspace, name)));
  return { keys: Object.fromEntries(keys.map(({ keyId, key }) => [keyId, key])), threshold };
}
