/**
 * One verb for people: look at what waits for signatures, explain it, sign what the keys at hand can sign, say what is still missing.
 *
 * Rules:
 * - a draft that was overtaken by another publication is drafted again from its changes first: signatures over bytes which would not
 *   be published any more are dropped;
 * - what cannot be told in words, or some client would refuse, is not signed;
 * - each signature is on disk before the next key is asked for: who is interrupted loses none.
 */
import { advanceDraft, isBasedOn, type Draft } from '../repository/draft.ts';
import { pendingRequest, pendingRequests, withSignatures } from '../repository/draft-roles.ts';
import { assertDraftHolds, hasExpired } from '../repository/draft-check.ts';
import { viewRole, viewRoot } from '../repository/draft-view.ts';
import type { KeyNames } from '../repository/meaning.ts';
import { redraftOn } from '../repository/redraft.ts';
import { rootAuthorities, rootRequest } from '../repository/root-draft.ts';
import { withoutStrays, withSignature, type SigningRequest } from '../repository/signing.ts';
import type { Store } from '../store/store.ts';
import { assertPortable } from '../tuf/lint.ts';
import type { KeyId } from '../tuf/types.ts';
import type { RepositoryName } from '../workspace/config.ts';
import { readDraft, saveDraft } from '../workspace/draft-files.ts';
import { namedKeys } from '../workspace/key-ring.ts';
import { rebaseRoot } from '../workspace/edit-root.ts';
import { forgetFinished, keepRoot } from '../workspace/keep-root.ts';
import { readRootChain, readRootDraft, saveRootDraft } from '../workspace/root-files.ts';
import type { Workspace } from '../workspace/workspace.ts';
import type { LiveState } from './live-state.ts';
import { takeCurrent } from './live.ts';
import { COMPLETE, openSigning, type SignedItem, type Signing, type SigningOptions } from './signing.ts';

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
  const [collected = COMPLETE] = await signing.collect({
    views: [viewRoot(envelope, previous, nameOf)],
    base: previous === undefined ? 'no root' : `root ${previous.version}`,
    requests: [rootRequest(envelope, previous)],
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
  if (pendingRequest(draft, trusted) === undefined) return false;
  const { targets, snapshot, delegated = {} } = draft.versions;
  const isTaken = Object.entries(delegated).some(([name, version]) => version < (versions.delegated?.[name] ?? 0));
  return isTaken || snapshot < versions.snapshot || (draft.roles.targets !== undefined && targets < versions.targets);
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
  const advance = (one: Draft): Draft => advanceDraft(one, live.trusted, { now, policy: workspace.expiry });
  const items: SignedItem[] = [];
  // Signatures that arrived by themselves may have completed a child.
  let draft = advance(work.draft);
  for (let requests = pendingRequests(draft, live.trusted); requests.length > 0; requests = pendingRequests(draft, live.trusted)) {
    const { signedItems, signed } = await signTogether(work, draft, requests, items.length > 0 ? 'follows' : 'first');
    items.push(...signedItems);
    // Whoever says no to a draft that was made again keeps the one that was there.
    if (signedItems.some(({ reason }) => reason === 'declined')) return items;
    draft = advance(signed);
    await saveDraft(workspace, repository, draft);
    if (signedItems.some(({ missing }) => missing.length > 0)) return items;
  }
  await saveDraft(workspace, repository, draft);
  return items;
}

/** Roles that wait together. @param order a parent follows from its children, which were explained and signed a moment ago */
async function signTogether(
  { workspace, repository, live, signing, nameOf }: Work,
  waiting: Draft,
  requests: readonly SigningRequest[],
  order: 'first' | 'follows',
): Promise<{ readonly signedItems: readonly SignedItem[]; readonly signed: Draft }> {
  const { trusted } = live;
  let draft = requests.reduce((one, { role }) => withSignatures(one, role, [], trusted), waiting);
  const save = async (): Promise<void> => void (await saveDraft(workspace, repository, draft));
  const saveNowAndThen = seldom(save);
  const collected = await signing.collect({
    repository,
    views: requests.map(({ role }) => viewRole(draft, role, trusted, nameOf)),
    base: baseOf(live),
    requests,
    order,
    async keep(signature, { role }) {
      draft = withSignatures(draft, role, [signature], trusted);
      await saveNowAndThen();
    },
    save,
  });
  const missing = new Map(pendingRequests(draft, trusted).map((request) => [request.role, request.missing]));
  const signedItems = requests.map(({ role, version }, index) => {
    const { reason, signedBy, failed } = collected[index] ?? COMPLETE;
    return { repository, role, version, reason, signedBy, failed, missing: missing.get(role) ?? [] };
  });
  return { signedItems, signed: draft };
}

/** One key signs hundreds of bins at once, in a draft of megabytes: what it signed in this time may have to be signed again. */
const SAVE_MS = 500;

/** The first time, and then when it has not been done for a while. */
function seldom(work: () => Promise<void>): () => Promise<void> {
  let last: number | undefined;
  return async () => {
    if (last !== undefined && performance.now() - last < SAVE_MS) return;
    await work();
    last = performance.now();
  };
}

function baseOf({ trusted: { chain, published } }: LiveState): string {
  const root = `root ${chain.latest.role.version}`;
  return published === undefined ? `${root} and no publication` : `${root} and timestamp ${published.timestamp.role.version}`;
}
