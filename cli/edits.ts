/** What every command does that edits releases: choose repositories, say what hosts will see, then draft it. */
import { isGantryError, named, type GantryError } from '../lib/errors.ts';
import type { DroppedChange, PreparedEdit } from '../lib/publish/edit.ts';
import type { Change } from '../lib/repository/draft.ts';
import type { UpdateName } from '../lib/release/find.ts';
import type { Offer } from '../lib/release/lint.ts';
import type { Update } from '../lib/release/manifest.ts';
import type { RepositoryName } from '../lib/workspace/config.ts';
import type { Context } from './context.ts';
import { isSet, listOption } from './options.ts';
import type { OptionValues, Outcome } from './program.ts';
import { openWorkspaceSession, type WorkspaceSession } from './session.ts';
import { describeFindings } from './ui/findings.ts';
import { shellWord } from './ui/format.ts';

/** What an edit does in one repository. */
export interface Edit {
  /** Of the release that is edited. */
  readonly version: string;
  readonly changesFor: (standing: Offer, repository: RepositoryName) => readonly Change[];
  /** One sentence: what hosts will see, and when. */
  readonly sentence: (edit: PreparedEdit) => string | Promise<string>;
}

/** @throws GantryError `workspace/no-repository` */
export async function repositoriesOf({ workspace }: WorkspaceSession, options: OptionValues): Promise<readonly RepositoryName[]> {
  const { chooseRepositories } = await import('../lib/workspace/workspace.ts');
  return chooseRepositories(workspace, { variants: listOption(options, 'variant'), arches: listOption(options, 'arch') });
}

/**
 * Works the edit out for every repository, says what it means, and drafts all of it, or nothing when one of them refuses. Of
 * several repositories those that lack the release are left as they are, unless all do.
 *
 * @param json what programs want to know beside the sentences
 */
export async function draftEdit(context: Context, options: OptionValues, edit: Edit, json: object = {}): Promise<Outcome> {
  const session = await openWorkspaceSession(context, options);
  const { withWorkspaceLock } = await import('../lib/workspace/workspace.ts');
  const dryRun = isSet(options, 'dryRun');
  const work = async (): Promise<Outcome> => {
    const { prepareEdit, saveEdit } = await import('../lib/publish/edit.ts');
    const prepared: (PreparedEdit & { readonly sentence: string })[] = [];
    const without: { readonly repository: RepositoryName; readonly why: GantryError }[] = [];
    for (const repository of await repositoriesOf(session, options)) {
      try {
        const one = await prepareEdit(session.workspace, session.store, repository, {
          now: context.now,
          changesFor: (standing) => edit.changesFor(standing, repository),
        });
        prepared.push({ ...one, sentence: await edit.sentence(one) });
      } catch (error) {
        if (!isGantryError(error, 'release/unknown') || error.details.version !== edit.version) throw error;
        without.push({ repository, why: error });
      }
    }
    const [lacking] = without;
    if (lacking !== undefined && prepared.length === 0) throw lacking.why;
    for (const { dropped } of prepared) for (const change of dropped) context.say(describeDropped(change));
    for (const { repository } of without)
      context.say(`${titleOf({ ...repository, version: edit.version })}: there is no such release; nothing changes there.`);
    for (const { sentence } of prepared) context.say(sentence);
    const drafts: string[] = [];
    if (!dryRun) for (const one of prepared) drafts.push(...[(await saveEdit(session.workspace, one)) ?? []].flat());
    return {
      json: {
        ...(dryRun ? { dryRun } : {}),
        ...json,
        repositories: prepared.map(({ repository, sentence, draft, warnings }) => ({
          ...repository,
          sentence,
          ...deadline(draft?.changes ?? []),
          warnings,
        })),
        ...(without.length === 0 ? {} : { without: without.map(({ repository }) => repository) }),
        drafts,
      },
      lines: [
        ...describeFindings(prepared.flatMap(({ warnings }) => warnings)),
        ...(dryRun ? ['Nothing was drafted.'] : nextSteps(drafts)),
      ],
    };
  };
  return dryRun ? work() : withWorkspaceLock(session.workspace, work);
}

function nextSteps(drafts: readonly string[]): readonly string[] {
  return drafts.length === 0
    ? ['Nothing else was drafted, so nothing waits any more.']
    : ['Drafted. Hosts see it when it is published.', '', 'Next: gantry sign && gantry publish'];
}

/** Whoever drafted it believes that it waits. */
function describeDropped(change: DroppedChange): string {
  const what = change.kind === 'pause-waves' ? 'pause' : 'resumption';
  return `The ${what} of ${titleOf(change.update)} for ${change.at} came too late to be published, and is dropped from the draft; again: ${steerAgain(change)}`;
}

/** The command that makes a pause or a resumption anew. */
export function steerAgain({ kind, update: { variant, arch, version } }: DroppedChange): string {
  return `gantry wave ${kind === 'pause-waves' ? 'pause' : 'resume'} ${version} --variant ${shellWord(variant)} --arch ${shellWord(arch)}`;
}

function deadline(changes: readonly Change[]): object {
  const moments = changes.flatMap((change) => (change.kind === 'pause-waves' || change.kind === 'resume-waves' ? [change.at] : []));
  return moments.length === 0 ? {} : { publishBefore: moments.toSorted()[0] };
}

/** The update as hosts know it; undefined when it was never published. */
export async function publishedIn({ published }: PreparedEdit, name: UpdateName): Promise<Update | undefined> {
  const { isSame } = await import('../lib/release/find.ts');
  return published.manifest.updates.find((update) => isSame(update, name));
}

/** The update as it was, with the draft that waits, and as it will be. */
export async function updateIn({ before, after }: PreparedEdit, name: UpdateName): Promise<{ readonly was: Update; readonly is: Update }> {
  const { findUpdate } = await import('../lib/release/find.ts');
  return { was: findUpdate(before.manifest, name), is: findUpdate(after.manifest, name) };
}

/** `metal/x86_64 1.2.0` */
export function titleOf({ variant, arch, version }: UpdateName): string {
  return `${named(variant)}/${named(arch)} ${version}`;
}
