import type { Draft } from '../../lib/repository/draft.ts';
import type { RepositoryName } from '../../lib/workspace/config.ts';
import type { Context } from '../context.ts';
import { repositoriesOf } from '../edits.ts';
import { dryRunOption, isSet, repositoriesOptions } from '../options.ts';
import type { CommandSpec, OptionValues, Outcome } from '../program.ts';
import { openWorkspaceSession, type WorkspaceSession } from '../session.ts';
import { count } from '../ui/format.ts';

interface Waiting {
  readonly repository: RepositoryName;
  readonly changes: number;
  readonly signatures: number;
}

const discard: CommandSpec = {
  name: 'discard',
  summary: 'throw away what is drafted and not published',
  description:
    'The draft goes with its changes, the signatures that it has, and the compressed images that no other draft needs. What is published stays as it is. gantry release remove takes a single release out of the draft.',
  options: [...repositoriesOptions, dryRunOption],
  examples: ['gantry draft discard --dry-run', 'gantry draft discard --variant all --arch all --yes'],
  async run(context, _, options) {
    const session = await openWorkspaceSession(context, options);
    if (isSet(options, 'dryRun')) return discardAll(context, session, options);
    const { withWorkspaceLock } = await import('../../lib/workspace/workspace.ts');
    return withWorkspaceLock(session.workspace, async () => discardAll(context, session, options));
  },
};

async function discardAll(context: Context, session: WorkspaceSession, options: OptionValues): Promise<Outcome> {
  const { forgetDraft } = await import('../../lib/publish/live.ts');
  const repositories = await repositoriesOf(session, options);
  const waiting: Waiting[] = [];
  for (const repository of repositories) waiting.push(...(await waitingIn(session, repository)));
  if (waiting.length === 0) throw await nothingWaits(repositories);
  for (const { repository, changes, signatures } of waiting) {
    const what = changes === 0 ? 'a refresh, or what cannot be read' : count(changes, 'change');
    context.say(
      `${nameOf(repository)}: the draft goes with all it holds: ${what}, ${count(signatures, 'signature')}. What is published stays.`,
    );
  }
  const isDryRun = isSet(options, 'dryRun');
  const isWanted = !isDryRun && (await context.confirm(`Discard ${count(waiting.length, 'draft')}?`));
  if (isWanted) for (const { repository } of waiting) await forgetDraft(session.workspace, repository);
  const discarded = waiting.map(({ repository, ...rest }) => ({ ...repository, ...rest }));
  return {
    json: { ...(isDryRun ? { dryRun: true } : {}), discarded: isDryRun || isWanted ? discarded : [] },
    lines: [isWanted ? `Discarded ${count(waiting.length, 'draft')}.` : 'Nothing was discarded.'],
  };
}

/** A draft that cannot be read goes like any other: that is how people get rid of it. */
async function waitingIn({ workspace }: WorkspaceSession, repository: RepositoryName): Promise<readonly Waiting[]> {
  const { readDraft } = await import('../../lib/workspace/draft-files.ts');
  const { isGantryError } = await import('../../lib/errors.ts');
  try {
    const draft = await readDraft(workspace, repository);
    return draft === undefined ? [] : [{ repository, changes: draft.changes.length, signatures: signaturesOf(draft) }];
  } catch (error) {
    if (!isGantryError(error, 'repository/bad-draft')) throw error;
    return [{ repository, changes: 0, signatures: 0 }];
  }
}

function signaturesOf({ roles }: Draft): number {
  return Object.values(roles).reduce((sum, { signatures }) => sum + signatures.length, 0);
}

async function nothingWaits(repositories: readonly RepositoryName[]): Promise<Error> {
  const { GantryError } = await import('../../lib/errors.ts');
  const names = repositories.map(nameOf).join(', ');
  return new GantryError('publish/nothing', `Cannot discard the draft of ${names}: nothing waits; expected a draft`, { repository: names });
}

function nameOf({ variant, arch }: RepositoryName): string {
  return `${variant}/${arch}`;
}

export const draft: CommandSpec = {
  name: 'draft',
  summary: 'throw drafts away',
  subcommands: [discard],
};
