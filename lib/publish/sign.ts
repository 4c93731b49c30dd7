/**
 * One verb for people: look at what waits for signatures, sign what the keys at hand can sign, say what is still missing.
 *
 * A draft that was overtaken by another publication is drafted again from its changes first: the signatures that it had
 * were over bytes which would not be published any more.
 */
import { GantryError, type MissingSignatures } from '../errors.ts';
import type { PassphraseSource } from '../keys/passphrase.ts';
import type { Signer } from '../keys/signer.ts';
import { draftFrom, isBasedOn, offerAfter, pendingRequest, signDraft, type Draft } from '../repository/draft.ts';
import { remainingChanges } from '../repository/draft-changes.ts';
import { assertDraftHolds, hasExpired } from '../repository/draft-check.ts';
import { finishRoot, rootAuthorities, rootRequest } from '../repository/root-draft.ts';
import type { RootChain } from '../repository/root-chain.ts';
import { withSignature, type SigningRequest } from '../repository/signing.ts';
import type { Store } from '../store/store.ts';
import { signingPayload } from '../tuf/role.ts';
import type { Envelope, KeyId, Root, Signature, TopRoleName } from '../tuf/types.ts';
import type { RepositoryName } from '../workspace/config.ts';
import { readDraft, saveDraft } from '../workspace/draft-files.ts';
import { signersAtHand } from '../workspace/key-ring.ts';
import { readRootChain, readRootDraft, removeRootDraft, saveRootChain, saveRootDraft } from '../workspace/root-files.ts';
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

/** A crash between keeping a complete root and removing its draft leaves both. @throws GantryError `repository/bad-draft` */
async function forgetFinished(workspace: Workspace, draft: Envelope<Root>, chain: RootChain | undefined): Promise<boolean> {
  const kept = chain?.roots.find(({ role }) => role.version === draft.signed.version);
  if (kept === undefined) return false;
  if (Buffer.compare(signingPayload(kept.role), signingPayload(draft.signed)) !== 0) {
    const at = 'drafts/root.json';
    throw new GantryError(
      'repository/bad-draft',
      `Cannot sign ${at}: it has version ${draft.signed.version}, and ${draft.signed.version}.root.json is another root; expected the next version`,
      { at },
    );
  }
  await removeRootDraft(workspace);
  return true;
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
  const signed = signatures.reduce<Envelope<Root>>((envelope, signature) => withSignature(envelope, signature, authorities), draft);
  const { missing } = rootRequest(signed, previous);
  if (missing.length === 0) {
    await saveRootChain(workspace, finishRoot(signed, chain));
    await removeRootDraft(workspace);
  } else {
    await saveRootDraft(workspace, signed);
  }
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

/** The same changes on top of what is live now, with numbers that are free now; nothing is signed. */
export function redraft(draft: Draft, live: LiveState, workspace: Workspace, now: Date): Draft {
  const changes = remainingChanges(draft.changes, offerAfter(live.trusted, []));
  return draftFrom(live.trusted, changes, { versions: live.versions, now, policy: workspace.expiry });
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
  let draft = work.draft;
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
