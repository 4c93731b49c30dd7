/**
 * Published bytes that lie on this machine, asked for as if a server had them: what a folder and a bundle share. What comes of it is
 * believed no more than what a server says.
 *
 * Rules:
 * - *missing* and *failed* are distinct as over HTTP: a file that is not there is `http/missing`, one that cannot be read `files/…`;
 * - the limits in bytes are those of HTTP, and a file of another length than the signed one is refused before it is read.
 */
import { GantryError, quote, refuseAborted } from '../errors.ts';
import { openStableFile, type FileSlice, type StableFile } from '../files/read.ts';
import { tooLong, tooShort } from '../http/failures.ts';
import type { HttpClient } from '../http/request.ts';

/** Where a published file lies: a file, or a part of one; undefined when it is not there. @throws GantryError `files/…`, `client/…` */
export type Locate = (url: URL) => Promise<string | FileSlice | undefined>;

interface Limits {
  readonly maxBytes: number;
  readonly expectedBytes?: number | undefined;
  readonly offset?: number;
  readonly length?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Who answers what a client asks for. */
export function localTransport(locate: Locate): HttpClient {
  const traffic = { requests: 0, bytesReceived: 0 };
  const fetchStream = async function* (url: URL, limits: Limits): AsyncGenerator<Uint8Array, void, undefined> {
    traffic.requests += 1;
    refuseAborted(limits.signal);
    const file = await openLocated(await locate(url), url, limits);
    try {
      const { offset = 0, length = file.lengthBytes - offset } = limits;
      for await (const chunk of partOf(file, offset, length)) {
        refuseAborted(limits.signal);
        traffic.bytesReceived += chunk.length;
        yield chunk;
      }
      await file.assertUnchanged();
    } finally {
      await file.close();
    }
  };
  return {
    traffic,
    fetchStream,
    async fetchBytes(url, options) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of fetchStream(url, options)) chunks.push(chunk);
      return Buffer.concat(chunks);
    },
    async fetchRange(url, { offset, length, totalBytes, signal }) {
      const limits = { maxBytes: totalBytes, expectedBytes: totalBytes, offset, length, signal };
      // Whoever asks wants to know before the first byte whether there is one.
      const file = await openLocated(await locate(url), url, limits);
      await file.close();
      const body = fetchStream(url, limits);
      return { kind: 'asked', body, cancel: () => void body.return(undefined) };
    },
    close() {
      // Nothing stays open between two requests.
    },
  };
}

async function openLocated(located: string | FileSlice | undefined, url: URL, { maxBytes, expectedBytes }: Limits): Promise<StableFile> {
  if (located === undefined) throw missing(url);
  const file = await openStableFile(located);
  const refusal =
    file.lengthBytes > maxBytes
      ? tooLong(url, maxBytes)
      : expectedBytes !== undefined && file.lengthBytes < expectedBytes
        ? tooShort(url, expectedBytes, file.lengthBytes)
        : undefined;
  if (refusal === undefined) return file;
  await file.close();
  throw refusal;
}

const CHUNK_BYTES = 1 << 20;

/** A whole file is read ahead; a part of it is asked for piece by piece. */
async function* partOf(file: StableFile, offset: number, length: number): AsyncGenerator<Uint8Array, void, undefined> {
  if (offset === 0 && length === file.lengthBytes) {
    yield* file.read();
    return;
  }
  for (let at = offset; at < offset + length;) {
    const chunk = await file.readAt(at, Math.min(CHUNK_BYTES, offset + length - at));
    if (chunk.length === 0) return;
    at += chunk.length;
    yield chunk;
  }
}

function missing(url: URL): GantryError<'http/missing'> {
  const shown = decodeURIComponent(url.pathname);
  return new GantryError('http/missing', `Cannot read ${quote(shown)}: it does not exist`, { url: url.href, status: 404 });
}
