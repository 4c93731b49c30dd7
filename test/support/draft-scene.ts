/** Drafts without a workspace: three targets keys of which two must sign, one online key, and a publication that somebody made. */
import assert from 'node:assert/strict';
import { generatePrivateKey } from '../../lib/keys/generate.ts';
import { signerFromKeyObject } from '../../lib/keys/key-signer.ts';
import type { Signer } from '../../lib/keys/signer.ts';
import { draftFrom, finishDraft, pendingRequest, signDraft, type Change, type Draft } from '../../lib/repository/draft.ts';
import { parseExpiryPolicy, type ExpiryPolicy } from '../../lib/repository/expiry.ts';
import type { RepositoryParcel } from '../../lib/repository/parcel.ts';
import { draftRoot, finishRoot } from '../../lib/repository/root-draft.ts';
import { trustRepository, type TrustedRepository } from '../../lib/repository/trusted.ts';
import { parseManifest } from '../../lib/release/manifest.ts';
import { emptyManifest } from '../../lib/release/manifest.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import { signingPayload } from '../../lib/tuf/payload.ts';

export const SCENE_NOW: Date = new Date('2026-01-01T00:00:00Z');
export const SCENE_OPTIONS: { readonly now: Date; readonly policy: ExpiryPolicy } = { now: SCENE_NOW, policy: parseExpiryPolicy({}) };
export const SCENE_METAL: { readonly variant: string; readonly arch: string } = { variant: 'metal', arch: 'x86_64' };

export interface DraftScene {
  readonly root: Signer;
  readonly targets: readonly Signer[];
  readonly online: Signer;
  readonly stranger: Signer;
  readonly published: TrustedRepository;
  readonly manifest: Uint8Array;
}

export function putTarget(path: string, content = 'abc'): Change {
  return { kind: 'put-target', path, file: { length: content.length, hashes: { sha256: sha256Hex(Buffer.from(content)) } } };
}

export async function draftScene(type: 'ed25519' | 'ecdsa' = 'ed25519'): Promise<DraftScene> {
  const signer = async (): Promise<Signer> => signerFromKeyObject(await generatePrivateKey(type));
  const [root, a, b, c, online, stranger] = await Promise.all([1, 2, 3, 4, 5, 6].map(signer));
  assert.ok(root && a && b && c && online && stranger);
  const one = (key: Signer): { readonly keys: readonly Signer['key'][]; readonly threshold: number } => ({ keys: [key.key], threshold: 1 });
  const targets = [a, b, c];
  const spec = {
    root: one(root),
    targets: { keys: targets.map(({ key }) => key), threshold: 2 },
    snapshot: one(online),
    timestamp: one(online),
  };
  const draft = draftRoot(spec, SCENE_NOW, SCENE_OPTIONS.policy);
  const chain = finishRoot({ ...draft, signatures: [await root.sign(signingPayload(draft.signed))] });
  const empty = trustRepository(chain, emptyManifest());
  const scene = { root, targets, online, stranger, published: empty, manifest: new Uint8Array() };
  let first = draftFrom(empty, [putTarget('first.img')], { ...SCENE_OPTIONS, versions: { targets: 1, snapshot: 1, timestamp: 1 } });
  for (const by of [[a, b], [online], [online]]) first = await signedBy(scene, first, by);
  const { roles, manifest } = finishDraft(first, empty);
  assert.ok(manifest !== undefined);
  return {
    ...scene,
    manifest,
    published: trustRepository(chain, parseManifest(manifest), { root: chain.latest.role, published: roles }),
  };
}

/** The role that waits, with these signatures. */
export async function signedBy(scene: Pick<DraftScene, 'published'>, draft: Draft, by: readonly Signer[]): Promise<Draft> {
  const request = pendingRequest(draft, scene.published);
  if (request === undefined) return draft;
  const signatures = await Promise.all(by.map(async (signer) => signer.sign(request.payload)));
  return signDraft(draft, signatures, scene.published, SCENE_OPTIONS);
}

export function secondDraft({ published }: DraftScene): Draft {
  const versions = { targets: 2, snapshot: 2, timestamp: 2 };
  return draftFrom(published, [putTarget('second.img'), { kind: 'remove-target', path: 'first.img' }], { ...SCENE_OPTIONS, versions });
}

export function parcelOf({ published, manifest }: DraftScene, draft: Draft): RepositoryParcel {
  assert.ok(published.published !== undefined);
  const base = { roles: published.published, manifest, delegated: published.delegated };
  return { kind: 'repository', product: 'my-os', roots: published.chain.roots, repository: SCENE_METAL, draft, base };
}
