/**
 * One verb for people: look at what waits for signatures, sign what the keys at hand can sign, say what is still missing.
 *
 * A draft that was overtaken by another publication is drafted again from its changes first: the signatures that it had
 * were over bytes which would not be published any more.
 */
import type { MissingSignatures } from '../errors.ts';
import type { PassphraseSource } from '../keys/passphrase.ts';
import type { Signer } from '../keys/signer.ts';
import { advanceDraft, isBasedOn, pendingRequest, signDraft, type Draft } from '../repository/draft.ts';
import { assertDraftHolds, hasExpired } from '../repository/draft-check.ts';
import { redraftOn } from '../repository/redraft.ts';
import { rootAuthorities, rootRequest } from '../repository/root-draft.ts';
import { withoutStrays, withSignature, type SigningRequest } from '../repository/signing.ts';
import type { Store } from '../store/store.ts';
import type { Envelope, KeyId, Root, Signature, TopRoleName } from '../tuf/types.ts';
import type { RepositoryName } from '../workspace/config.ts';
import { readDraft, saveDraft } from '../workspace/draft-files.ts';
import { signersAtHand } from '../workspace/key-ring.ts';
import { forgetFinished, keepRoot } from '../workspace/keep-root.ts';
import { readRootChain, readRootDraft } from '../workspace/root-files.ts';
import type { Workspace } from '../workspace/workspace.ts';
import type { LiveState } from './live-state.ts';
import { takeCurrent } from './live.ts';

/** What happened to one role. */
export interface SignedItem {
  /** Absent for the root, which all repositories share. */
  readonly repository?: RepositoryName;
  readonly role: TopRoleName;
  readonly version: number;
  readonly signedBy: readonly KeyId[];
  /** Empty when the role is complete. */
  readonly missing: readonly MissingSignatures[];
}

export interface SigningReport {
  readonly items: readonly SignedItem[];
  /** Repositories whose draft was made again on top of what somebody else published. */
  readonly redrafted: readonly RepositoryName[];
}

export interface SigningOptions {
  readonly keysDirectory: string;
  readonly passphrases: PassphraseSource;
  readonly now: Date;
}

/** Signs the drafted root, then the draft of every repository. */
export async function signDrafts(workspace: Workspace, store: Store, options: SigningOptions): Promise<SigningReport> {
  const sign = signWith(options);
  const items: SignedItem[] = [];
  const redrafted: RepositoryName[] = [];
  const root = await signRootDraft(workspace, sign);
  if (root !== undefined) items.push(root);
  for (const repository of workspace.config.repositories) {
    if ((await readDraft(workspace, repository)) === undefined) continue;
    const { live, draft } = await takeCurrent(workspace, store, repository);
    if (draft === undefined) continue;
    const isCurrent = isBasedOn(draft, live.trusted);
    // What people cannot read from the changes is not signed.
    const assertHolds = (one: Draft): void => assertDraftHolds(one, live.trusted, { now: options.now, policy: workspace.expiry });
    const isStanding = isCurrent && !hasExpired(draft, options.now);
    if (isStanding) assertHolds(draft);
    const isUsable = isStanding && !hasLostNumber(draft, live);
    const current = isUsable ? draft : redraft(draft, live, workspace, options.now);
    if (!isCurrent) redrafted.push(repository);
    if (!isUsable) assertHolds(current);
    items.push(...(await signOneDraft({ workspace, repository, draft: current, live, sign, now: options.now })));
  }
  return { items, redrafted };
}

type SignRequest = (request: SigningRequest) => Promise<readonly Signature[]>;

/** Signs with every key at hand that may; each private key is opened once. */
function signWith({ keysDirectory, passphrases }: SigningOptions): SignRequest {
  const opened = new Map<KeyId, Signer>();
  return async ({ candidates, payload }) => {
    const unopened = new Set(candidates.filter((keyId) => !opened.has(keyId)));
    for (const signer of await signersAtHand(keysDirectory, unopened, passphrases)) opened.set(signer.keyId, signer);
    const signers = candidates.flatMap((keyId) => opened.get(keyId) ?? []);
    return Promise.all(signers.map(async (signer) => signer.sign(payload)));
  };
}

async function signRootDraft(workspace: Workspace, sign: SignRequest): Promise<SignedItem | undefined> {
  const draft = await readRootDraft(workspace);
  if (draft === undefined) return undefined;
  const chain = await readRootChain(workspace);
  if (await forgetFinished(workspace, draft, chain)) return undefined;
  const previous = chain?.latest.role;
  const authorities = rootAuthorities(draft.signed, previous);
  const signatures = await sign(rootRequest(draft, previous));
  const counting = withoutStrays(draft, authorities);
  const signed = signatures.reduce<Envelope<Root>>((envelope, signature) => withSignature(envelope, signature, authorities), counting);
  const { missing } = rootRequest(signed, previous);
  await keepRoot(workspace, signed, chain);
  return { role: 'root', version: draft.signed.version, signedBy: signatures.map(({ keyid }) => keyid), missing };
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

async function signOneDraft(work: {
  readonly workspace: Workspace;
  readonly repository: RepositoryName;
  readonly draft: Draft;
  readonly live: LiveState;
  readonly sign: SignRequest;
  readonly now: Date;
}): Promise<readonly SignedItem[]> {
  const { workspace, repository, live, sign, now } = work;
  const root = live.trusted.chain.latest.role;
  const items: SignedItem[] = [];
  // Signatures that arrived by themselves may have completed a child.
  let draft = advanceDraft(work.draft, live.trusted, { now, policy: workspace.expiry });
  for (let request = pendingRequest(draft, root); request !== undefined; request = pendingRequest(draft, root)) {
    const signatures = await sign(request);
    draft = signDraft(draft, signatures, live.trusted, { now, policy: workspace.expiry });
    // A key that cannot be opened later must not cost what was signed by now.
    await saveDraft(workspace, repository, draft);
    const after = pendingRequest(draft, root);
    const stuck = after !== undefined && after.role === request.role ? after.missing : [];
    items.push({
      repository,
      role: request.role,
      version: request.version,
      signedBy: signatures.map(({ keyid }) => keyid),
      missing: stuck,
    });
    if (stuck.length > 0) break;
  }
  await saveDraft(workspace, repository, draft);
  return items;
}
