/**
 * The store that is written to: one that keeps conditions, or was found to, or one that somebody promises to write to alone.
 *
 * What a probe has found is remembered in the workspace for a while; a machine that knows nothing yet probes first.
 */
import { hash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isGantryError } from '../errors.ts';
import { writeFileAtomic } from '../files/atomic.ts';
import { readWholeFile } from '../files/read.ts';
import { probeConditions } from '../store/probe.ts';
import { singleWriterStore } from '../store/single-writer.ts';
import type { Store } from '../store/store.ts';
import { privatePath, type Workspace } from '../workspace/workspace.ts';

/** A server may be replaced by another one at the same address. */
const REMEMBERED_MS = 7 * 24 * 3600 * 1000;

export interface WritersOptions {
  readonly now: Date;
  readonly signal?: AbortSignal;
  /** `single`: nobody else writes to this store, says the operator. */
  readonly writers?: 'single' | 'several';
  readonly onProbe?: () => void;
}

/** @throws GantryError `store/not-atomic`, and whatever the calls of the store throw */
export async function provenStore(workspace: Workspace, store: Store, options: WritersOptions): Promise<Store> {
  if (options.writers === 'single') return singleWriterStore(store);
  if (store.conditions === undefined || (await wasProven(workspace, store, options.now))) return store;
  options.onProbe?.();
  await probeConditions(store, options.signal === undefined ? {} : { signal: options.signal });
  const record = recordPath(workspace, store);
  await mkdir(dirname(record), { recursive: true });
  await writeFileAtomic(record, `${options.now.toISOString()}\n`);
  return store;
}

async function wasProven(workspace: Workspace, store: Store, now: Date): Promise<boolean> {
  try {
    const text = Buffer.from(await readWholeFile(recordPath(workspace, store), { maxBytes: 100 })).toString('utf8');
    const age = now.getTime() - new Date(text.trim()).getTime();
    return age >= 0 && age < REMEMBERED_MS;
  } catch (error) {
    if (isGantryError(error)) return false;
    throw error;
  }
}

function recordPath(workspace: Workspace, store: Store): string {
  const server = workspace.config.s3?.endpoint ?? '';
  return privatePath(workspace, 'proven', hash('sha256', `${server} ${store.description}`, 'hex').slice(0, 16));
}
