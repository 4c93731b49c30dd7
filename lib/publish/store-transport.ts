/** A store in the place of a web server: for looking at a publication as a host does where there is no public URL. */
import { GantryError, isGantryError, quote } from '../errors.ts';
import type { FetchOptions, HttpClient } from '../http/request.ts';
import { isStorePath } from '../store/path.ts';
import type { Store } from '../store/store.ts';

/** The store's root; the name is reserved, so that nothing can be reached by it. */
export const STORE_URL: URL = new URL('http://store.invalid/');

export function storeTransport(store: Store): HttpClient {
  const traffic = { requests: 0, bytesReceived: 0 };
  const fetchStream = async function* (url: URL, { maxBytes, signal }: FetchOptions): AsyncGenerator<Uint8Array, void, undefined> {
    traffic.requests += 1;
    const path = decodeURIComponent(url.pathname.slice(1));
    const shown = `${store.description}/${path}`;
    try {
      if (!isStorePath(path)) throw new GantryError('store/missing', `Cannot read ${quote(path)}: it is not in the store`, { path });
      const { info, body } = await store.read(path, signal === undefined ? {} : { signal });
      if (info.lengthBytes > maxBytes) {
        const message = `Cannot read ${quote(shown)}: it has ${info.lengthBytes} bytes; expected at most ${maxBytes}`;
        throw new GantryError('http/too-long', message, { url: shown, maxBytes });
      }
      for await (const chunk of body) {
        traffic.bytesReceived += chunk.length;
        yield chunk;
      }
    } catch (error) {
      // The client asks a server, and knows its words: a store that denies is no server that says "missing".
      if (!isGantryError(error, 'store/missing')) throw error;
      throw new GantryError(
        'http/missing',
        `Cannot read ${quote(shown)}: it is not in the store`,
        { url: shown, status: 404 },
        { cause: error },
      );
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
    // A store has no short way to a part: it is read from its beginning, which is an answer too.
    async fetchRange(url, { totalBytes, signal }) {
      const body = fetchStream(url, { maxBytes: totalBytes, ...(signal === undefined ? {} : { signal }) });
      return { kind: 'whole', body, cancel: () => undefined };
    },
    close() {
      // The store is its opener's.
    },
  };
}
