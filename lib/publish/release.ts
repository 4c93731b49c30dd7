/** `release add`: from images to a draft on top of what is live. */
import { GantryError } from '../errors.ts';
import { draftFrom, manifestAfter, offerAfter, type Change, type Draft } from '../repository/draft.ts';
import { remainingChanges } from '../repository/draft-changes.ts';
import type { Store } from '../store/store.ts';
import { saveDraft } from '../workspace/draft-files.ts';
import { checkFiles, prepareRelease, type PreparedRelease, type ReleaseInput } from '../workspace/prepare-release.ts';
import type { RepositoryName } from '../workspace/config.ts';
import type { Workspace } from '../workspace/workspace.ts';
import type { LiveState } from './live-state.ts';
import { readCurrent } from './live.ts';

export interface AddedRelease {
  readonly release: PreparedRelease;
  readonly draft: Draft;
  /** Where the draft lies. */
  readonly draftPath: string;
}

/**
 * The draft of a new release. An existing draft is extended: its changes are kept, and its signatures dropped, because they
 * were over other bytes.
 *
 * @throws GantryError `release/duplicate`, `release/not-newer` and others that `checkRelease` finds, before any image is read;
 * `release/lint`, and whatever `prepareRelease` throws
 */
export async function addRelease(workspace: Workspace, store: Store, input: ReleaseInput & { readonly now: Date }): Promise<AddedRelease> {
  const { live, earlier } = await checkRelease(workspace, store, input);
  const options = { versions: live.versions, now: input.now, policy: workspace.expiry };
  const release = await prepareRelease(workspace, input);
  const draft = draftFrom(live.trusted, [...earlier, ...release.changes], options);
  return { release, draft, draftPath: await saveDraft(workspace, input.repository, draft) };
}

/**
 * Learns what can be learnt before minutes of compression: the version, the waves, and that the files are there.
 *
 * @returns what is live, and the changes of a draft that waits
 * @throws GantryError `release/…`, `files/missing`, `files/not-readable`, `image/empty`
 */
export async function checkRelease(
  workspace: Workspace,
  store: Store,
  input: ReleaseInput,
): Promise<{ readonly live: LiveState; readonly earlier: readonly Change[] }> {
  const { repository, version, about } = input;
  const { live, draft } = await readCurrent(workspace, store, repository);
  const earlier = remainingChanges(draft?.changes ?? [], offerAfter(live.trusted, []));
  refuseDrafted(earlier, repository, version);
  // The update without its images is enough to learn whether it may be added.
  const update = { ...repository, version, images: { boot: 'boot', root: 'root', hash: 'hash' }, ...about };
  manifestAfter(live.trusted, [...earlier, { kind: 'add-update', update }]);
  await checkFiles(input);
  return { live, earlier };
}

function refuseDrafted(earlier: readonly Change[], { variant, arch }: RepositoryName, version: string): void {
  if (!earlier.some((change) => change.kind === 'add-update' && change.update.version === version)) return;
  throw new GantryError(
    'release/duplicate',
    `Cannot draft ${version} of ${variant}/${arch}: it is drafted already; expected another version, or the draft removed from drafts/${variant}/${arch}.json`,
    { version, variant, arch },
  );
}
