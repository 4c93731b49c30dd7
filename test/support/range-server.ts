/** Lies of servers that know ranges. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Lie } from './hostile-server.ts';

export interface AskedRange {
  readonly from: number;
  readonly to: number;
  readonly ifRange: string | undefined;
}

export interface RangeServer {
  readonly lie: Lie;
  /** Answers that began, in order. */
  readonly asked: AskedRange[];
  /** Resolves once it pauses. */
  readonly paused: Promise<void>;
}

export interface RangeServerOptions {
  readonly etag?: string;
  /** What it sends, given what is right and where it lies in the file. */
  readonly change?: (part: Buffer, from: number) => Buffer;
  /** Breaks off once so many bytes of a file were sent, at that byte of it. */
  readonly cutAt?: number;
  /** On one connection. */
  readonly bytesPerMs?: number;
  /** Nothing more comes from that byte of the file on; together with `bytesPerMs`. */
  readonly pauseAt?: number;
}

/** Honest but for what the options say. */
export function rangeServer({
  etag,
  change = (part) => part,
  cutAt = Infinity,
  bytesPerMs,
  pauseAt = Infinity,
}: RangeServerOptions = {}): RangeServer {
  const asked: AskedRange[] = [];
  const { promise: paused, resolve: pause } = Promise.withResolvers<void>();
  const lie = (response: ServerResponse, file: Buffer = Buffer.alloc(0), request: IncomingMessage): void => {
    const [range, first = '0', last = ''] = /^bytes=(\d+)-(\d+)$/u.exec(request.headers.range ?? '') ?? [];
    const from = Number(first);
    const to = last === '' ? file.length : Number(last) + 1;
    asked.push({ from, to, ifRange: request.headers['if-range'] as string | undefined });
    const headers = { 'Content-Length': to - from, ...(etag === undefined ? {} : { ETag: etag }) };
    if (range === undefined) response.writeHead(200, headers);
    else response.writeHead(206, { ...headers, 'Content-Range': `bytes ${from}-${to - 1}/${file.length}` });
    const part = change(file.subarray(from, Math.min(to, cutAt)), from);
    if (bytesPerMs !== undefined) drip(response, part, { bytesPerMs, pauseAt: pauseAt - from, onPause: pause });
    else if (to <= cutAt) response.end(part);
    else response.write(part, () => response.destroy());
  };
  return { lie, asked, paused };
}

interface Drip {
  readonly bytesPerMs: number;
  readonly pauseAt: number;
  readonly onPause: () => void;
}

function drip(response: ServerResponse, part: Buffer, { bytesPerMs, pauseAt, onPause }: Drip): void {
  const started = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    const due = Math.min(part.length, pauseAt, Math.ceil((performance.now() - started) * bytesPerMs));
    if (due > sent) response.write(part.subarray(sent, due));
    sent = Math.max(sent, due);
    if (sent === part.length) response.end();
    if (sent >= pauseAt) onPause();
    if (sent === part.length || sent >= pauseAt || response.destroyed) clearInterval(timer);
  }, 2);
}
