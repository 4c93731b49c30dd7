/** `release add`: from images to a draft on top of what is live. */
import { GantryError, type LintFinding } from '../errors.ts';
import { verityImageBytes } from '../image/verity.ts';
import { findUpdate } from '../release/find.ts';
import { assertReleasable, newFindings } from '../release/lint.ts';
import type { Update } from '../release/manifest.ts';
import { draftFrom, offerAfter, type Change, type Draft } from '../repository/draft.ts';
import { remainingChanges } from '../repository/draft-changes.ts';
import type { Store } from '../store/store.ts';
import { saveDraft } from '../workspace/draft-files.ts';
import { checkFiles, prepareRelease, type PreparedRelease, type ReleaseInput } from '../workspace/prepare-release.ts';
import { planRelease } from '../workspace/plan-release.ts';
import type { RepositoryName } from '../workspace/config.ts';
import type { Workspace } from '../workspace/workspace.ts';
import type { LiveState } from './live-state.ts';
import { readCurrent } from './live.ts';

export interface AddedRelease {
  readonly release: PreparedRelease;
  readonly draft: Draft;
  /** What it makes worse without breaking it: errors are refused. */
  readonly warnings: readonly LintFinding[];
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
  const changes = [...earlier, ...release.changes];
  const draft = draftFrom(live.trusted, changes, options);
  const warnings = newFindings(offerAfter(live.trusted, changes), offerAfter(live.trusted, earlier), {
    now: input.now,
    treeBytes: verityImageBytes,
    published: live.trusted.manifest,
  });
  return { release, draft, warnings: [...release.findings, ...warnings], draftPath: await saveDraft(workspace, input.repository, draft) };
}

/**
 * Learns what can be learnt before minutes of compression: the version, the waves, the names, whether migrations lead there, and
 * that the files are there.
 *
 * @returns what is live, the changes of a draft that waits, and the update as it will be, but for the build in its image names
 * @throws GantryError `release/…`, `tuf/bad-target-path`, `files/missing`, `files/not-readable`, `image/empty`, `image/…` when boot, root and
 * hash image do not belong together as far as that is seen without reading the root image
 */
export async function checkRelease(
  workspace: Workspace,
  store: Store,
  input: ReleaseInput & { readonly now: Date },
): Promise<{ readonly live: LiveState; readonly earlier: readonly Change[]; readonly update: Update }> {
  const { repository, version, now } = input;
  const { live, draft } = await readCurrent(workspace, store, repository);
  const earlier = remainingChanges(draft?.changes ?? [], offerAfter(live.trusted, []));
  refuseDrafted(earlier, repository, version);
  const planned = planRelease(workspace, input, offerAfter(live.trusted, earlier));
  const offer = offerAfter(live.trusted, [...earlier, ...planned]);
  assertReleasable(offer, offerAfter(live.trusted, []), { now, treeBytes: verityImageBytes });
  await checkFiles(input);
  return { live, earlier, update: findUpdate(offer.manifest, { ...repository, version }) };
}

function refuseDrafted(earlier: readonly Change[], { variant, arch }: RepositoryName, version: string): void {
  if (!earlier.some((change) => change.kind === 'add-update' && change.update.version === version)) return;
  throw new GantryError(
    'release/duplicate',
    `Cannot draft ${version} of ${variant}/${arch}: it is drafted already; expected another version, or the drafted one removed`,
    { version, variant, arch },
  );
}
