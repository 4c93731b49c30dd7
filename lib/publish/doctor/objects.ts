/**
 * Files as the server gives them.
 *
 * Rules:
 * - a file is asked for as a client does that would take gzip and brotli: who compresses shows it now;
 * - what is compressed is asked for once more without, so that the rest of it can be judged too;
 * - the bytes are compared with what their metadata names, as far as they were read.
 */
import type { ProbedAnswer } from '../../http/probe.ts';
import { sha256Hex } from '../../tuf/hash.ts';
import { SAMPLE_BYTES, type Visit } from './visit.ts';

export type ObjectClass = 'timestamp' | 'metadata' | 'target';

/** What the metadata says of a file. */
export interface Named {
  readonly length?: number;
  readonly hashes?: { readonly sha256: string };
}

export interface ServedObject {
  readonly url: URL;
  readonly kind: ObjectClass;
  /** The last one, after redirects; its status is 200. */
  readonly answer: ProbedAnswer;
  /** All of it, or the first `SAMPLE_BYTES` of a target. */
  readonly body: Uint8Array;
  /** As the metadata names it, or as it came. */
  readonly lengthBytes: number;
}

const MISSING: ReadonlySet<number> = new Set([403, 404, 410]);
const METADATA_MAX_BYTES = 64 << 20;

/** Undefined when there is nothing to look at, which is reported. */
export async function readObject(visit: Visit, url: URL, kind: ObjectClass, named: Named = {}): Promise<ServedObject | undefined> {
  const maxBytes = kind === 'target' ? SAMPLE_BYTES : METADATA_MAX_BYTES;
  const answer = await visit.follow(url, { maxBytes, headers: { 'accept-encoding': 'gzip, br' } });
  if (answer === undefined) return undefined;
  if (answer.status !== 200) {
    reportStatus(visit, url, answer.status);
    return undefined;
  }
  return judged(visit, { url, kind, answer }, named, maxBytes);
}

function reportStatus({ report, placeOf }: Visit, url: URL, status: number): void {
  if (MISSING.has(status)) report('named-missing', placeOf(url), `the server says ${status}; expected the file, which the metadata names`);
  else report('unsteady', placeOf(url), `the server answers ${status}; expected 200`);
}

async function judged(
  visit: Visit,
  seen: Pick<ServedObject, 'url' | 'kind' | 'answer'>,
  named: Named,
  maxBytes: number,
): Promise<ServedObject | undefined> {
  const plain = await decoded(visit, seen.answer, maxBytes);
  if (plain === undefined) return undefined;
  judgeLength(visit, plain);
  judgeBytes(visit, seen.url, plain, named);
  return { ...seen, answer: plain, body: plain.body, lengthBytes: named.length ?? plain.body.length };
}

/** The answer without a content encoding. */
async function decoded(visit: Visit, answer: ProbedAnswer, maxBytes: number): Promise<ProbedAnswer | undefined> {
  const encoding = encodingOf(answer);
  if (encoding === undefined) return answer;
  visit.report('encoded', visit.placeOf(answer.url), `it comes with Content-Encoding ${encoding}; expected the bytes as they are`);
  const again = await visit.ask(answer.url, { maxBytes });
  return again?.status === 200 && encodingOf(again) === undefined ? again : undefined;
}

function encodingOf({ headers }: ProbedAnswer): string | undefined {
  const encoding = headers['content-encoding']?.toLowerCase();
  // A signature of single chunks in an upload to S3, which some servers give back; the bytes are plain.
  return encoding === undefined || encoding === 'identity' || encoding === 'aws-chunked'
    ? undefined
    : JSON.stringify(encoding.slice(0, 40));
}

function judgeLength({ report, placeOf }: Visit, { url, headers, body, end }: ProbedAnswer): void {
  const stated = headers['content-length'];
  if (end === 'broken') {
    const promise = stated === undefined ? 'all of it' : `${stated} bytes, as Content-Length says`;
    report('length-wrong', placeOf(url), `the connection ended after ${body.length} bytes; expected ${promise}`);
  } else if (stated === undefined) {
    report('length-missing', placeOf(url), 'it comes without a Content-Length');
  }
}

function judgeBytes({ report, placeOf }: Visit, url: URL, { headers, body, end }: ProbedAnswer, { length, hashes }: Named): void {
  if (end === 'broken') return;
  const has = end === 'whole' ? body.length : Number(headers['content-length'] ?? length);
  if (length !== undefined && has !== length) {
    report('named-altered', placeOf(url), `it has ${has} bytes; expected ${length}, which the metadata names`);
  } else if (end === 'whole' && hashes !== undefined && sha256Hex(body) !== hashes.sha256) {
    report('named-altered', placeOf(url), `its SHA-256 is ${sha256Hex(body)}; expected ${hashes.sha256}, which the metadata names`);
  }
}
