/** Parts of a file: how interrupted downloads continue. */
import type { ProbedAnswer } from '../../http/probe.ts';
import type { ServedObject } from './objects.ts';
import type { Visit } from './visit.ts';

/** Where a part begins and ends, both included, inside of what is known of the file. */
interface Part {
  readonly first: number;
  readonly last: number;
}

const PART_BYTES = 100;

/** @param object at least 2 bytes of it are known */
export async function judgeRanges(visit: Visit, object: ServedObject): Promise<void> {
  const { url } = object.answer;
  const known = Math.min(object.body.length, object.lengthBytes);
  if (known < 2) return;
  const first = Math.floor(known / 2);
  const part = { first, last: Math.min(first + PART_BYTES, known) - 1 };
  const answer = await visit.ask(url, { headers: { range: `bytes=${part.first}-${part.last}` } });
  if (answer === undefined) return;
  const isAnnounced = [object.answer, answer].some(({ headers }) => headers['accept-ranges']?.toLowerCase() === 'bytes');
  if (!judgePart(visit, object, { part, answer, isAnnounced })) return;
  if (!isAnnounced) {
    visit.report(
      'range-unannounced',
      visit.placeOf(url),
      'ranges are answered, but there is no Accept-Ranges; expected Accept-Ranges: bytes',
    );
  }
  await judgeConditions(visit, object, part);
}

/** True when the answer is the part that was asked for. */
function judgePart(
  { report, placeOf }: Visit,
  object: ServedObject,
  { part: { first, last }, answer, isAnnounced }: { readonly part: Part; readonly answer: ProbedAnswer; readonly isAnnounced: boolean },
): boolean {
  const at = placeOf(answer.url);
  const { status, headers, body } = answer;
  if (status === 200 && !isAnnounced) {
    report('range-ignored', at, 'asked for a part, the server sends the whole; expected 206');
    return false;
  }
  const stated = headers['content-range'] ?? 'no Content-Range';
  const wanted = `bytes ${first}-${last}/${object.lengthBytes}`;
  const fault =
    status !== 206
      ? `the answer is ${status}, in spite of its Accept-Ranges; expected 206`
      : stated !== wanted && stated !== `bytes ${first}-${last}/*`
        ? `there comes ${JSON.stringify(stated.slice(0, 80))}; expected "${wanted}"`
        : Buffer.from(object.body)
              .subarray(first, last + 1)
              .equals(body)
          ? undefined
          : 'other bytes come; expected those of the file';
  if (fault !== undefined) report('range-wrong', at, `asked for bytes ${first} to ${last}, ${fault}`);
  return fault === undefined;
}

/** A weak ETag cannot stand in If-Range, and without one there is nothing to compare. */
async function judgeConditions(visit: Visit, object: ServedObject, { first }: Part): Promise<void> {
  const { url, headers } = object.answer;
  const { etag } = headers;
  if (etag?.startsWith('"') !== true) return;
  const range = `bytes=${first}-`;
  const same = await visit.ask(url, { headers: { range, 'if-range': etag }, maxBytes: 1 });
  if (same !== undefined && same.status !== 206) {
    visit.report('if-range-ignored', visit.placeOf(url), `with its own ETag in If-Range the answer is ${same.status}; expected 206`);
  }
  const other = await visit.ask(url, { headers: { range, 'if-range': '"gantry-doctor"' }, maxBytes: 1 });
  if (other !== undefined && other.status !== 200) {
    visit.report(
      'if-range-unchecked',
      visit.placeOf(url),
      `with another ETag in If-Range the answer is ${other.status}; expected 200 and the whole`,
    );
  }
}
