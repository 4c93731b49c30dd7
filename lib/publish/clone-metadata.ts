/** The exact bytes that a client has accepted, under the names of the published layout; and the way back. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { GantryError, isGantryError } from '../errors.ts';
import { readWholeFile } from '../files/read.ts';
import { openRootChain } from '../repository/root-chain.ts';
import { readSignedRole } from '../tuf/role.ts';

/** As the client caps them. */
const MAX_BYTES = 64 << 20;

export interface ClonedFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const metaFiles = z.record(z.string(), z.object({ version: z.int().min(1) }));
const parent = z.object({ signed: z.object({ meta: metaFiles }) });
const root = z.object({ signed: z.object({ version: z.int().min(1), consistent_snapshot: z.boolean() }) });

/**
 * Everything in the order in which it may be written: whatever names a file comes after it.
 *
 * @param state the directory of a client that has refreshed and walked the delegations
 * @param earlier the root from which the client started, and those before it: they may not be in the state
 * @throws GantryError `repository/root-chain`, `tuf/threshold`, `client/untrusted` for what the layout has no names for
 */
export async function clonedMetadata(state: string, earlier: readonly Uint8Array[]): Promise<readonly ClonedFile[]> {
  const read = async (...path: readonly string[]): Promise<Uint8Array> => readWholeFile(join(state, ...path), { maxBytes: MAX_BYTES });
  const current = await read('root.json');
  if (!root.parse(json(current)).signed.consistent_snapshot) {
    throw new GantryError(
      'client/untrusted',
      'Cannot clone the repository: its root has no consistent_snapshot; expected versioned names, without which no copy is whole at every moment',
      { role: 'root' },
    );
  }
  const versions = (await names(join(state, 'roots'))).map((name) => Number.parseInt(name, 10)).toSorted((a, b) => a - b);
  const kept = await Promise.all(versions.map(async (version) => read('roots', `${version}.root.json`)));
  const roots = rootsInOrder([...earlier, ...kept, current]);
  const [timestamp, snapshot, targets] = [await read('timestamp.json'), await read('snapshot.json'), await read('targets.json')];
  const { meta } = parent.parse(json(snapshot)).signed;
  const delegated: ClonedFile[] = [];
  for (const file of await names(join(state, 'delegated'))) {
    const name = decodeURIComponent(file);
    const version = meta[name]?.version;
    if (version !== undefined) delegated.push({ name: `${version}.${name}`, bytes: await read('delegated', file) });
  }
  return [
    ...roots,
    ...delegated,
    { name: `${meta['targets.json']?.version ?? 1}.targets.json`, bytes: targets },
    { name: `${parent.parse(json(timestamp)).signed.meta['snapshot.json']?.version ?? 1}.snapshot.json`, bytes: snapshot },
    { name: 'timestamp.json', bytes: timestamp },
  ];
}

/** Each once, and each accepted by the one before it. */
function rootsInOrder(files: readonly Uint8Array[]): readonly ClonedFile[] {
  const byVersion = new Map(files.map((bytes) => [root.parse(json(bytes)).signed.version, bytes]));
  const sorted = [...byVersion].toSorted(([a], [b]) => a - b);
  openRootChain(sorted.map(([, bytes]) => readSignedRole(bytes, 'root')));
  return sorted.map(([version, bytes]) => ({ name: `${version}.root.json`, bytes }));
}

/**
 * What an earlier clone wrote becomes what the client trusted before. What is torn or foreign is passed over here and discarded by the
 * client: it believes nothing that does not follow from its root.
 */
export async function seedState(state: string, folder: string): Promise<void> {
  const read = async (name: string): Promise<Uint8Array | undefined> => readIfThere(join(folder, name));
  const timestamp = await read('timestamp.json');
  if (timestamp === undefined) return;
  const snapshotVersion = parent.safeParse(json(timestamp)).data?.signed.meta['snapshot.json']?.version;
  const snapshot = snapshotVersion === undefined ? undefined : await read(`${snapshotVersion}.snapshot.json`);
  const meta = snapshot === undefined ? undefined : parent.safeParse(json(snapshot)).data?.signed.meta;
  const targets = meta?.['targets.json'] === undefined ? undefined : await read(`${meta['targets.json'].version}.targets.json`);
  const found = { timestamp, snapshot, targets };
  for (const [role, bytes] of Object.entries(found)) {
    if (bytes !== undefined) await writeFile(join(state, `${role}.json`), bytes, { mode: 0o600 });
  }
  const delegated = Object.entries(meta ?? {}).filter(([name]) => name !== 'targets.json');
  if (delegated.length > 0) await mkdir(join(state, 'delegated'), { mode: 0o700 });
  for (const [name, { version }] of delegated) {
    const bytes = /[/\0]/u.test(name) ? undefined : await read(`${version}.${name}`);
    if (bytes !== undefined) await writeFile(join(state, 'delegated', encodeURIComponent(name)), bytes, { mode: 0o600 });
  }
}

async function names(folder: string): Promise<readonly string[]> {
  return (await readdir(folder).catch(() => [])).filter((name) => name.endsWith('.json') && !name.startsWith('.'));
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readWholeFile(path, { maxBytes: MAX_BYTES });
  } catch (error) {
    if (isGantryError(error) && error.code.startsWith('files/')) return undefined;
    throw error;
  }
}

function json(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}
