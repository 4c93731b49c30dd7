/** Bytes from memory instead of the network, cut off wherever a test wants: a download is then as fast as its own work. */
import { GantryError } from '../../lib/errors.ts';
import type { HttpClient, RangeAnswer, RangeOptions } from '../../lib/http/request.ts';

const CHUNK_BYTES = 4096;

export interface MemoryTransport extends HttpClient {
  /** By the end of its path: the bytes of a file that come before every answer breaks off; without one, all come. */
  readonly cuts: Map<string, number>;
  /** Ranges that were asked for, by what follows the last slash, with their ends. */
  readonly asked: { readonly name: string; readonly from: number; readonly to: number }[];
  /** Before each chunk. */
  onChunk: () => void;
}

export function memoryTransport(base: URL, files: ReadonlyMap<string, Uint8Array>): MemoryTransport {
  const traffic = { requests: 0, bytesReceived: 0 };
  const fileOf = (url: URL): Uint8Array => {
    traffic.requests += 1;
    const path = decodeURIComponent(url.pathname.slice(base.pathname.length));
    const file = files.get(path);
    if (file === undefined) throw new GantryError('http/missing', `no ${path}`, { url: url.href, status: 404 });
    return file;
  };
  async function* chunksOf(url: URL, file: Uint8Array, { offset, length }: RangeOptions): AsyncGenerator<Uint8Array, void, undefined> {
    const cut = [...transport.cuts].find(([name]) => url.pathname.endsWith(name))?.[1] ?? Infinity;
    for (let at = offset; at < offset + length;) {
      if (at >= cut) throw new GantryError('http/interrupted', 'cut off', { url: url.href, receivedBytes: at - offset });
      const chunk = file.slice(at, Math.min(at + CHUNK_BYTES, offset + length, cut));
      at += chunk.length;
      traffic.bytesReceived += chunk.length;
      transport.onChunk();
      yield chunk;
    }
  }
  const transport: MemoryTransport = {
    traffic,
    cuts: new Map(),
    asked: [],
    onChunk: () => undefined,
    fetchBytes: async (url) => fileOf(url),
    async *fetchStream(url) {
      yield fileOf(url);
    },
    async fetchRange(url, range): Promise<RangeAnswer> {
      const file = fileOf(url);
      transport.asked.push({ name: url.pathname.split('/').at(-1) ?? '', from: range.offset, to: range.offset + range.length });
      return { kind: 'asked', body: chunksOf(url, file, range), cancel: () => undefined };
    },
    close: () => undefined,
  };
  return transport;
}
