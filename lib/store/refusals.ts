/** What stores refuse, and what the file system said in the words of a store. */
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { GantryError, isGantryError, quote } from '../errors.ts';
import type { ByteSource, Expect, ObjectInfo, StorePath } from './store.ts';

/** What Gantry keeps for itself in a directory store; the lock is held while an object is looked at and replaced. */
const OWN_FOLDER = '.gantry';
export const STORE_LOCK: string = `${OWN_FOLDER}/lock.sqlite`;
/** Each upload under way has a folder here. */
export const UPLOADS: string = `${OWN_FOLDER}/uploads`;
/** Held while uploads are begun, and while those of dead writers are removed. */
export const CLAIMS_LOCK: string = `${OWN_FOLDER}/claims.sqlite`;

export function refuseUnexpected(path: StorePath, found: ObjectInfo | undefined, expect: Expect): void {
  const expected = expect === 'absent' ? undefined : expect.version;
  if (found?.version === expected) return;
  const name = (version: string | undefined): string => (version === undefined ? 'nothing' : `version ${version}`);
  throw new GantryError('store/conflict', `Cannot write ${quote(path)}: found ${name(found?.version)}; expected ${name(expected)}`, {
    path,
    expected: name(expected),
    found: name(found?.version),
  });
}

/** A link in the place of a folder leads out of the store as well. @throws GantryError `store/denied` */
export async function refuseLinks(root: string, path: StorePath, call: string): Promise<void> {
  const folders = path.split('/').slice(0, -1);
  for (let depth = 1; depth <= folders.length; depth += 1) {
    await refuseLink(join(root, ...folders.slice(0, depth)), path, call);
  }
}

/** Who can write to the store must not choose which folder we tidy up. @throws GantryError `store/denied` */
export async function refuseOwnLinks(root: string, path: StorePath, call: string): Promise<void> {
  for (const own of [OWN_FOLDER, STORE_LOCK, UPLOADS, CLAIMS_LOCK]) await refuseLink(join(root, own), path, call);
}

async function refuseLink(file: string, path: StorePath, call: string): Promise<void> {
  const found = await lstat(file).catch(() => undefined);
  if (found?.isSymbolicLink() !== true) return;
  throw new GantryError(
    'store/denied',
    `Cannot ${call} ${quote(path)} in the store: ${quote(file)} is a symbolic link; expected none inside a store`,
    { path },
  );
}

/** @param file where the object belongs: a full disk is reported there, not at a temporary name */
export function storeError(error: unknown, path: string, call: string, file: string): unknown {
  if (isGantryError(error, 'files/disk-full')) {
    return new GantryError('files/disk-full', `Cannot ${call} ${quote(file)}: the disk is full`, { path: file }, { cause: error });
  }
  // Only a read can find that an object is missing; a write that fails like that has no directory to write to.
  if (isGantryError(error, 'files/missing') && call !== 'write') return missing(path, call, error);
  if (isGantryError(error) && error.code.startsWith('files/') && error.code !== 'files/locked') {
    return new GantryError('store/denied', `Cannot ${call} ${quote(path)} in the store: ${error.message}`, { path }, { cause: error });
  }
  return error;
}

export function missing(path: string, call: string, cause?: unknown): GantryError {
  return new GantryError('store/missing', `Cannot ${call} ${quote(path)}: it is not in the store`, { path }, { cause });
}

export function failed(path: string, call: string, problem: string): GantryError {
  return new GantryError('store/failed', `Cannot ${call} ${quote(path)}: ${problem}`, { path, call });
}

/** So that a source without an end is not sent, or kept, without an end. @throws GantryError `store/source-changed` */
export function refuseMoreBytes(path: StorePath, source: ByteSource, lengthBytes: number): void {
  if (lengthBytes <= source.lengthBytes) return;
  throw new GantryError(
    'store/source-changed',
    `Cannot write ${quote(path)}: its source gave more than ${source.lengthBytes} bytes; expected exactly so many`,
    { path },
  );
}

/** @throws GantryError `store/source-changed` */
export function refuseOtherBytes(path: StorePath, source: ByteSource, lengthBytes: number, sha256: string): void {
  if (lengthBytes === source.lengthBytes && sha256 === source.sha256) return;
  throw new GantryError(
    'store/source-changed',
    `Cannot write ${quote(path)}: its source gave ${lengthBytes} bytes, SHA-256 ${sha256}; expected ${source.lengthBytes} bytes, SHA-256 ${source.sha256}`,
    { path },
  );
}
