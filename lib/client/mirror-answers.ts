/**
 * What the answers of mirrors mean, each by itself and all of them together.
 *
 * Rules:
 * - a file is *missing* when all say so; where its absence is expected, one that says so with 404 is enough, whatever becomes of the others;
 * - 403 and a mirror that cannot be asked make no *missing*: a store behind a CDN says 403 for what is not there, and for what it hides.
 */
import { isGantryError, type GantryError } from '../errors.ts';
import { mayPass } from '../http/patience.ts';
import type { RangeAnswer } from '../http/request.ts';
import type { Mirror } from './mirrors.ts';

/** `expected` when a file that is not there is an answer, as at the end of the root chain: nobody waits for a mirror then. */
export type Absence = 'expected' | 'failure';

/** More or less than what is signed, or than any such file may have. */
export const WRONG_LENGTH: ReadonlySet<string> = new Set(['http/too-long', 'http/too-short']);
const NOT_FOUND = 404;
const GONE = 410;

export function isMissing(error: unknown): error is GantryError<'http/missing'> {
  return isGantryError(error, 'http/missing');
}

/** What another mirror may do better; the rest is ours, or the caller's wish. */
export function isOfMirror(error: unknown): error is GantryError {
  if (!isGantryError(error)) return false;
  // A folder is a mirror too.
  if (error.code === 'files/missing' || error.code === 'files/not-readable' || error.code === 'files/changed') return true;
  return error.code.startsWith('http/') && error.code !== 'http/bad-url' && error.code !== 'http/bad-setting';
}

/** What all of the answers mean together. */
export function verdictOf(
  errors: readonly GantryError[],
  absence: Absence,
): { readonly missing?: GantryError | undefined; readonly failed?: GantryError | undefined } {
  const missing = errors.filter(isMissing);
  // 410 says that something was there.
  const unclear = errors.filter((error) => !isMissing(error) || (error.details.status === GONE && absence === 'expected'));
  const plain = missing.find(({ details }) => details.status === NOT_FOUND);
  if (unclear.length === 0) return { missing: plain ?? missing[0] };
  const [first] = unclear;
  // Whoever can be asked again soonest.
  const failed = unclear.filter(mayPass).toSorted((one, other) => retryAfterOf(one) - retryAfterOf(other))[0] ?? first;
  return absence === 'expected' && plain !== undefined ? { missing: plain, failed } : { failed };
}

/** In milliseconds; 0 when it did not say. */
function retryAfterOf(error: GantryError): number {
  return isGantryError(error, 'http/status') ? (error.details.retryAfterMs ?? 0) : 0;
}

/** What an earlier stream has heard of these mirrors. */
export function etagsOf(mirrors: readonly Mirror[], known: ReadonlyMap<string, string> | undefined): Map<Mirror, string> {
  return new Map(
    mirrors.flatMap((mirror) => {
      const etag = known?.get(mirror.targetsUrl.href);
      return etag === undefined ? [] : [[mirror, etag] as const];
    }),
  );
}

/** The bytes that are wanted of a body, which may begin at the file's beginning. */
export function wantedOf({ kind, body }: RangeAnswer, offset: number, end: number): RangeAnswer['body'] {
  return kind === 'asked' ? body : wantedOfWhole(body, offset, end);
}

async function* wantedOfWhole(body: RangeAnswer['body'], offset: number, end: number): RangeAnswer['body'] {
  let at = 0;
  for await (const chunk of body) {
    const wanted = chunk.subarray(Math.max(0, offset - at), Math.max(0, end - at));
    at += chunk.length;
    if (wanted.length > 0) yield wanted;
    // What follows is not for us, and closes the connection.
    if (at >= end) return;
  }
}
