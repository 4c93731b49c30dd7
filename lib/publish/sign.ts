/**
 * One verb for people: look at what waits for signatures, explain it, sign what the keys at hand can sign, say what is still missing.
 *
 * Rules:
 * - a draft that was overtaken by another publication is drafted again from its changes first: signatures over bytes which would not
 *   be published any more are dropped;
 * - what cannot be told in words, or some client would refuse, is not signed;
 * - each signature is on disk before the next key is asked for: who is interrupted loses none.
 */
import { advanceDraft, isBasedOn, pendingRequest, type Draft } from '../repository/draft.ts';
import { assertDraftHolds, hasExpired } from '../repository/draft-check.ts';
import { viewRole, viewRoot } from '../repository/draft-view.ts';
import type { KeyNames } from '../repository/meaning.ts';
import { redraftOn } from '../repository/redraft.ts';
import { rootAuthorities, rootRequest } from '../repository/root-draft.ts';
import { requestFor, withoutStrays, withSignature, type SigningRequest } from '../repository/signing.ts';
import type { Store } from '../store/store.ts';
import { assertPortable } from '../tuf/lint.ts';
import type { Envelope, KeyId } from '../tuf/types.ts';
import type { RepositoryName } from '../workspace/config.ts';
import { readDraft, saveDraft } from '../workspace/draft-files.ts';
import { namedKeys } from '../workspace/key-ring.ts';
import { rebaseRoot } from '../workspace/edit-root.ts';
import { forgetFinished, keepRoot } from '../workspace/keep-root.ts';
import { readRootChain, readRootDraft, saveRootDraft } from '../workspace/root-files.ts';
import type { Workspace } from '../workspace/workspace.ts';
import type { LiveState } from './live-state.ts';
import { takeCurrent } from './live.ts';
import { openSigning, type SignedItem, type Signing, type SigningOptions } from './signing.ts';

export interface SigningReport {
  readonly items: readonly SignedItem[];
  /** Repositories whose draft was made again on top of what somebody else published. */
  readonly redrafted: readonly RepositoryName[];
}

/** Signs the drafted root, then the draft of every repository. */
export async function signDrafts(workspace: Workspace, store: Store, options: SigningOptions): Promise<SigningReport> {
  const signing = await openSigning(options);
  try {
    return await signAll(workspace, store, signing, options.now);
  } finally {
    await signing.close();
  }
}

async function signAll(workspace: Workspace, store: Store, signing: Signing, now: Date): Promise<SigningReport> {
  const names = new Map((await namedKeys(workspace)).map(({ keyId, name }) => [keyId, name]));
  const nameOf: KeyNames = (keyId) => names.get(keyId) ?? keyId.slice(0, 12);
  const items: SignedItem[] = [];
  const redrafted: RepositoryName[] = [];
  const root = await signRootDraft(workspace, signing, nameOf);
  if (root !== undefined) items.push(root);
  for (const repository of workspace.config.repositories) {
    if ((await readDraft(workspace, repository)) === undefined) continue;
    const { live, draft } = await takeCurrent(workspace, store, repository);
    if (draft === undefined) continue;
    const isCurrent = isBasedOn(draft, live.trusted);
    // What people cannot read from the changes is not signed.
    const assertHolds = (one: Draft): void => assertDraftHolds(one, live.trusted, { now, policy: workspace.expiry });
    const isStanding = isCurrent && !hasExpired(draft, now);
    if (isStanding) assertHolds(draft);
    const isUsable = isStanding && !hasLostNumber(draft, live);
    const current = isUsable ? draft : redraft(draft, live, workspace, now);
    if (!isCurrent) redrafted.push(repository);
    if (!isUsable) assertHolds(current);
    items.push(...(await signOneDraft({ workspace, repository, draft: current, live, signing, nameOf, now })));
  }
  return { items, redrafted };
}

async function signRootDraft(workspace: Workspace, signing: Signing, nameOf: KeyNames): Promise<SignedItem | undefined> {
  const drafted = await readRootDraft(workspace);
  if (drafted === undefined) return undefined;
  const chain = await readRootChain(workspace);
  if (await forgetFinished(workspace, drafted, chain)) return undefined;
  const draft = chain === undefined ? drafted : rebaseRoot(workspace, drafted, chain);
  const previous = chain?.latest.role;
  const authorities = rootAuthorities(draft.signed, previous);
  assertPortable(draft.signed);
  let envelope = withoutStrays(draft, authorities);
  const known = new Set<KeyId>(previous?.roles.root.keyids ?? draft.signed.roles.root.keyids);
  const collected = await signing.collect({
    view: viewRoot(envelope, previous, nameOf),
    base: previous === undefined ? 'no root' : `root ${previous.version}`,
    request: rootRequest(envelope, previous),
    isNewcomer: (keyId) => !known.has(keyId),
    async keep(signature) {
      envelope = withSignature(envelope, signature, authorities);
      await saveRootDraft(workspace, envelope);
    },
  });
  // Whoever says no to a draft that was made again keeps the one that was there.
  if (collected.reason !== 'declined') await keepRoot(workspace, envelope, chain);
  const { version } = draft.signed;
  return { role: 'root', version, ...collected, missing: rootRequest(envelope, previous).missing };
}

/**
 * True when somebody else has taken a version number of a draft that is not complete, so that it cannot be its own: signing that draft
 * would only lead to the next conflict.
 */
function hasLostNumber(draft: Draft, { versions, trusted }: LiveState): boolean {
  if (pendingRequest(draft, trusted.chain.latest.role) === undefined) return false;
  const { targets, snapshot } = draft.versions;
  return snapshot < versions.snapshot || (draft.roles.targets !== undefined && targets < versions.targets);
}

/** The same changes on top of what is live now, with numbers that are free now. */
export function redraft(draft: Draft, live: LiveState, workspace: Workspace, now: Date): Draft {
  return redraftOn(live.trusted, draft, { versions: live.versions, now, policy: workspace.expiry });
}

interface Work {
  readonly workspace: Workspace;
  readonly repository: RepositoryName;
  readonly live: LiveState;
  readonly signing: Signing;
  readonly nameOf: KeyNames;
  readonly now: Date;
}

async function signOneDraft(work: Work & { readonly draft: Draft }): Promise<readonly SignedItem[]> {
  const { workspace, repository, live, now } = work;
  const root = live.trusted.chain.latest.role;
  const advance = (one: Draft): Draft => advanceDraft(one, live.trusted, { now, policy: workspace.expiry });
  const items: SignedItem[] = [];
  // Signatures that arrived by themselves may have completed a child.
  let draft = advance(work.draft);
  for (let request = pendingRequest(draft, root); request !== undefined; request = pendingRequest(draft, root)) {
    const { item, signed } = await signRole(work, draft, request, items.length > 0 ? 'follows' : 'first');
    items.push(item);
    // Whoever says no to a draft that was made again keeps the one that was there.
    if (item.reason === 'declined') return items;
    draft = advance(signed);
    await saveDraft(workspace, repository, draft);
    if (item.missing.length > 0) return items;
  }
  await saveDraft(workspace, repository, draft);
  return items;
}

/** @param order a parent follows from its child, which was explained and signed a moment ago */
async function signRole(
  { workspace, repository, live, signing, nameOf }: Work,
  draft: Draft,
  request: SigningRequest,
  order: 'first' | 'follows',
): Promise<{ readonly item: SignedItem; readonly signed: Draft }> {
  const root = live.trusted.chain.latest.role;
  const { role, version } = request;
  const drafted: Envelope | undefined = role === 'root' ? undefined : draft.roles[role];
  if (drafted === undefined || role === 'root') throw new RangeError(`the draft of a repository has no ${role}`);
  const authorities = [{ keys: root.keys, roleKeys: root.roles[role] }];
  let envelope = withoutStrays(drafted, authorities);
  const now = (): Draft => ({ ...draft, roles: { ...draft.roles, [role]: envelope } });
  const collected = await signing.collect({
    repository,
    view: viewRole(draft, role, live.trusted, nameOf),
    base: baseOf(live),
    request,
    order,
    async keep(signature) {
      envelope = withSignature(envelope, signature, authorities);
      await saveDraft(workspace, repository, now());
    },
  });
  const { missing } = requestFor(envelope, authorities);
  return { item: { repository, role, version, ...collected, missing }, signed: now() };
}

function baseOf({ trusted: { chain, published } }: LiveState): string {
  const root = `root ${chain.latest.role.version}`;
  return published === undefined ? `${root} and no publication` : `${root} and timestamp ${published.timestamp.role.version}`;
}
