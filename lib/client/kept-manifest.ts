/**
 * The manifest, kept in the state directory: a check that finds nothing new asks for no target, and waves open with time alone.
 *
 * Rules:
 * - what is kept counts when it has the signed length and digest, and else for nothing;
 * - it gets there only after it was verified;
 * - a state directory that cannot be written costs a request, and no update.
 */
import { hash } from 'node:crypto';
import { join } from 'node:path';
import { isGantryError } from '../errors.ts';
import { writeFileAtomic } from '../files/atomic.ts';
import { readWholeFile } from '../files/read.ts';
import { fetchVerified, type StreamOptions, type TargetSource } from './receive.ts';
import type { VerifiedTarget } from './target.ts';

const KEPT = 'manifest.json';

/** The signed bytes. @throws GantryError `client/target-altered`, `http/…`, `aborted` */
export async function manifestBytes(source: TargetSource, target: VerifiedTarget, options: StreamOptions): Promise<Uint8Array> {
  const path = join(source.stateDirectory, KEPT);
  const kept = await keptBytes(path, target);
  if (kept !== undefined) return kept;
  const bytes = await fetchVerified(source, target, options);
  try {
    await writeFileAtomic(path, bytes, { mode: 0o600 });
  } catch (error) {
    if (!isGantryError(error)) throw error;
    source.notice(`The manifest is fetched again the next time: ${error.message}`);
  }
  return bytes;
}

async function keptBytes(path: string, { lengthBytes, digest }: VerifiedTarget): Promise<Uint8Array | undefined> {
  try {
    const bytes = await readWholeFile(path, { maxBytes: lengthBytes });
    return bytes.length === lengthBytes && hash(digest.algorithm, bytes) === digest.hex ? bytes : undefined;
  } catch (error) {
    if (!isGantryError(error)) throw error;
    return undefined;
  }
}
