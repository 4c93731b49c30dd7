/**
 * The time of the last refresh that succeeded: no later one is judged by an earlier time, so that a clock that was moved back does
 * not make expired metadata fresh again (TUF 1.0.34 §5.1 fixes the time of a refresh; nothing else protects it between two).
 *
 * Rules:
 * - only a refresh that succeeded moves it, so a clock that runs ahead can carry it no further than what is trusted is valid;
 * - a file that says otherwise was not written by us: it is discarded and said so, or it would lock the host out;
 * - it is written when something else is, and otherwise once an hour: a host that polls does not wear out its disk.
 */
import { join } from 'node:path';
import { isGantryError } from '../errors.ts';
import { writeFileAtomic } from '../files/atomic.ts';
import { readWholeFile } from '../files/read.ts';
import { signedOf, type RoleFiles } from './role-files.ts';

const FILE = 'trusted-time.json';
const MAX_BYTES = 1024;
const EVERY_MS = 60 * 60_000;

/** What the file says when it is to be believed. */
export async function readTrustedTime(directory: string, stored: RoleFiles, onNotice: (notice: string) => void): Promise<Date | undefined> {
  try {
    const bytes = await readWholeFile(join(directory, FILE), { maxBytes: MAX_BYTES });
    const trustedAt = timeIn(bytes);
    const end = expiryOf(stored.timestamp);
    if (trustedAt !== undefined && end !== undefined && trustedAt < end) return trustedAt;
    onNotice(`Discarded the stored ${FILE}: ${trustedAt === undefined ? 'it is damaged' : 'nothing that is trusted was valid then'}`);
  } catch (error) {
    if (!isGantryError(error)) throw error;
    if (error.code !== 'files/missing') onNotice(`Discarded the stored ${FILE}: ${error.message}`);
  }
  return undefined;
}

/** @param stored what the file says now; @param isNews whether other files were written */
export async function saveTrustedTime(
  directory: string,
  trustedAt: Date,
  { stored, isNews }: { readonly stored: Date | undefined; readonly isNews: boolean },
): Promise<void> {
  const sinceMs = stored === undefined ? EVERY_MS : trustedAt.getTime() - stored.getTime();
  if (sinceMs <= 0 || (sinceMs < EVERY_MS && !isNews)) return;
  await writeFileAtomic(join(directory, FILE), `${JSON.stringify({ trustedAt: trustedAt.toISOString() })}\n`, { mode: 0o600 });
}

function timeIn(bytes: Uint8Array): Date | undefined {
  try {
    const { trustedAt }: { readonly trustedAt?: unknown } = JSON.parse(Buffer.from(bytes).toString('utf8')) ?? {};
    const time = new Date(typeof trustedAt === 'string' ? trustedAt : Number.NaN);
    return Number.isNaN(time.getTime()) ? undefined : time;
  } catch {
    return undefined;
  }
}

function expiryOf(timestamp: Uint8Array | undefined): Date | undefined {
  const expires: unknown = timestamp === undefined ? undefined : signedOf(timestamp)?.['expires'];
  return typeof expires === 'string' ? new Date(expires) : undefined;
}
