/**
 * Whether what came is the part that was asked for.
 *
 * Rules:
 * - one range a request: object stores answer several with the whole, or not at all;
 * - servers answer 206 to an `If-Range` that no longer holds, so the ETag of what came is compared, not the one that was sent;
 * - the part must be exactly the one that was asked for, of a file of the length that is signed;
 * - a weak ETag says nothing about bytes, and is no ETag here.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { GantryError } from '../errors.ts';
import { badRange, changed } from './failures.ts';

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
  /** Of the whole file. */
  readonly totalBytes: number;
  /** The one that an earlier answer of the same server came with: only bytes of the same file are wanted. */
  readonly etag?: string;
}

/** Whole files are asked for without a range: every server knows how to answer. */
export function isWhole({ offset, length, totalBytes, etag }: ByteRange): boolean {
  return offset === 0 && length === totalBytes && etag === undefined;
}

export function rangeHeaders(range: ByteRange): Record<string, string> {
  if (isWhole(range)) return {};
  const { offset, length, etag } = range;
  return { range: `bytes=${offset}-${offset + length - 1}`, ...(etag === undefined ? {} : { 'if-range': etag }) };
}

/** The strong ETag of an answer. */
export function strongEtag({ etag }: IncomingHttpHeaders): string | undefined {
  return etag !== undefined && /^"[\u0021\u0023-\u007e\u0080-\u00ff]*"$/u.test(etag) ? etag : undefined;
}

/** Why an answer with status 206 is not the part that was asked for; undefined when it is. */
export function partRefusal(url: URL, headers: IncomingHttpHeaders, range: ByteRange): GantryError | undefined {
  const { offset, length, totalBytes, etag } = range;
  const last = offset + length - 1;
  const contentRange = headers['content-range'];
  const [, first, end, total] = /^bytes ([0-9]{1,16})-([0-9]{1,16})\/([0-9]{1,16}|\*)$/u.exec(contentRange ?? '') ?? [];
  const isAsked = Number(first) === offset && Number(end) === last && (total === '*' || Number(total) === totalBytes);
  if (!isAsked) {
    const found = contentRange === undefined ? 'a part without saying which' : `"${contentRange.slice(0, 80)}"`;
    return badRange(url, `"bytes ${offset}-${last}/${totalBytes}"`, found);
  }
  const found = strongEtag(headers);
  return etag === undefined || found === etag ? undefined : changed(url, etag, found);
}

/** Why a whole file that came instead of the part that was asked for is of no use; undefined when its beginning can be passed over. */
export function wholeRefusal(
  url: URL,
  { offset, length, totalBytes, etag }: ByteRange,
  { found, ranges }: { readonly found: string | undefined; readonly ranges: 'required' | undefined },
): GantryError | undefined {
  if (etag !== undefined && found !== etag) return changed(url, etag, found);
  if (ranges === undefined) return undefined;
  return badRange(url, `"bytes ${offset}-${offset + length - 1}/${totalBytes}"`, 'the whole file');
}
