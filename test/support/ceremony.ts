/** A key ceremony: six holders with a directory of keys each, a workspace in the middle, and drafts that go back and forth as files. */
import assert from 'node:assert/strict';
import { cp, mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { passphraseFrom } from '../../lib/keys/passphrase.ts';
import { importParcel, openParcel, packRoot } from '../../lib/publish/parcels.ts';
import { signParcel } from '../../lib/publish/sign-parcel.ts';
import { decodeParcel, encodeParcel, type Parcel } from '../../lib/repository/parcel.ts';
import { draftRoot, type RootSpec } from '../../lib/repository/root-draft.ts';
import type { PublicKey } from '../../lib/tuf/types.ts';
import { readRootChain, saveRootDraft } from '../../lib/workspace/root-files.ts';
import { openWorkspace, type Workspace } from '../../lib/workspace/workspace.ts';
import { keyOf, makeKey, newEngineer, type Engineer } from './engineer.ts';

export const HOLDERS: readonly string[] = ['ann', 'bob', 'cleo', 'dan', 'eve', 'fay'];

export interface Ceremony {
  readonly engineer: Engineer;
  readonly keys: Readonly<Record<string, PublicKey>>;
  readonly keysOf: (holder: string) => string;
}

/** Nothing is drafted yet. The holders' private keys are not where the engineer's are. */
export async function newCeremony(t: TestContext, now?: Date): Promise<Ceremony> {
  const engineer = await newEngineer(t, now);
  const keysOf = (holder: string): string => join(engineer.directory, 'holders', holder);
  const keys: Record<string, PublicKey> = {};
  for (const holder of HOLDERS) {
    keys[holder] = await makeKey(engineer, holder);
    await mkdir(keysOf(holder), { recursive: true });
    for (const end of ['pem', 'pub.pem']) {
      await rename(join(engineer.keysDirectory, `${holder}.${end}`), join(keysOf(holder), `${holder}.${end}`));
    }
  }
  return { engineer, keys, keysOf };
}

/** 3 of the first five holders for the root, the engineer's own keys for the rest. */
export function ceremonySpec({ engineer, keys }: Ceremony): RootSpec {
  const one = (name: string): RootSpec['targets'] => ({ keys: [keyOf(engineer, name)], threshold: 1 });
  const holders = HOLDERS.slice(0, 5).map((holder) => keys[holder] ?? assert.fail());
  return { root: { keys: holders, threshold: 3 }, targets: one('targets'), snapshot: one('online'), timestamp: one('online') };
}

export async function draftFirst(ceremony: Ceremony): Promise<void> {
  const { workspace, now } = ceremony.engineer;
  await saveRootDraft(workspace, draftRoot(ceremonySpec(ceremony), now, workspace.expiry));
}

/** The file that a holder sends back: their signature on what they were sent. */
export async function signedFile({ engineer, keysOf }: Ceremony, holder: string, file: Uint8Array): Promise<Uint8Array> {
  const { workspace, now } = engineer;
  let signed: Parcel = decodeParcel(file);
  const opened = openParcel(signed, await readRootChain(workspace), { now, policy: workspace.expiry });
  const [item] = await signParcel(opened, {
    keysDirectory: keysOf(holder),
    passphrases: passphraseFrom({ env: {} }),
    now,
    nameOf: (keyId) => keyId,
    keep: async (parcel) => {
      signed = parcel;
    },
  });
  assert.equal(item?.reason, 'signed');
  return encodeParcel(signed);
}

/** What is sent to the holders. */
export async function rootFile({ engineer }: Ceremony): Promise<Uint8Array> {
  return encodeParcel((await packRoot(engineer.workspace)) ?? assert.fail());
}

/** @returns the bytes of the newest root after the files came in this order */
export async function takeInOrder(workspace: Workspace, files: readonly Uint8Array[], now: Date): Promise<Uint8Array> {
  for (const file of files) await importParcel(workspace, decodeParcel(file), now);
  return (await readRootChain(workspace))?.latest.bytes ?? assert.fail('the root is not complete');
}

/** A workspace as this one is now. */
export async function copyOf(workspace: Workspace, directory: string): Promise<Workspace> {
  await rm(directory, { recursive: true, force: true });
  await cp(workspace.directory, directory, { recursive: true });
  return openWorkspace(directory);
}

/** Every order of every choice of `size`. */
export function arrangements<T>(items: readonly T[], size: number): readonly (readonly T[])[] {
  if (size === 0) return [[]];
  return items.flatMap((item, index) => arrangements(items.toSpliced(index, 1), size - 1).map((rest) => [item, ...rest]));
}
