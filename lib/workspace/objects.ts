/**
 * Bytes that wait for publication, by digest: `.gantry/objects/SHA256`.
 *
 * An object is complete once it is there: it is written beside its place and renamed.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { GantryError } from '../errors.ts';
import { createAtomicWriter } from '../files/atomic.ts';
import { fileSource } from '../files/read.ts';
import { measuring } from '../image/measure.ts';
import { parseSha256Hex } from '../tuf/hash.ts';
import type { Sha256Hex } from '../tuf/types.ts';
import { privatePath, type Workspace } from './workspace.ts';

export interface ObjectRef {
  readonly sha256: Sha256Hex;
  readonly lengthBytes: number;
}

/** The bytes of an object, to be read as often as an upload needs. */
export type ObjectSource = ReturnType<typeof fileSource> & ObjectRef;

export function objectPath(workspace: Workspace, name: string): string {
  return privatePath(workspace, 'objects', name);
}

/** Makes the folder of objects. */
export async function ensureObjects(workspace: Workspace): Promise<void> {
  await mkdir(privatePath(workspace, 'objects'), { recursive: true });
}

/** Keeps what the stream gives, under its digest. Nothing stays when the stream fails. */
export async function addObject(workspace: Workspace, content: AsyncIterable<Uint8Array>): Promise<ObjectRef> {
  await ensureObjects(workspace);
  const incoming = objectPath(workspace, `incoming-${randomUUID()}`);
  const writer = await createAtomicWriter(incoming, { overwrite: 'refuse' });
  try {
    const measured = measuring(content);
    for await (const chunk of measured.stream) await writer.write(chunk);
    await writer.commit();
    const { sha256, lengthBytes } = measured.result();
    const digest = parseSha256Hex(sha256);
    await rename(incoming, objectPath(workspace, digest));
    return { sha256: digest, lengthBytes };
  } catch (error) {
    await writer.discard();
    await rm(incoming, { force: true });
    throw error;
  }
}

/** @throws GantryError `workspace/object-missing` */
export async function openObject(workspace: Workspace, path: string, ref: ObjectRef): Promise<ObjectSource> {
  const file = objectPath(workspace, ref.sha256);
  const found = await stat(file).catch(() => undefined);
  if (found?.size !== ref.lengthBytes) {
    throw new GantryError(
      'workspace/object-missing',
      `Cannot publish ${path}: its bytes are ${found === undefined ? 'not' : 'not whole'} in this workspace (${ref.sha256})`,
      { path, sha256: ref.sha256 },
    );
  }
  return { ...fileSource(file, ref), ...ref };
}

/** Removes every object that is not named, those that were cut short included. */
export async function keepOnlyObjects(workspace: Workspace, keep: ReadonlySet<string>): Promise<void> {
  const names = await readdir(privatePath(workspace, 'objects')).catch(() => []);
  await Promise.all(names.filter((name) => !keep.has(name)).map(async (name) => rm(objectPath(workspace, name), { force: true })));
}
