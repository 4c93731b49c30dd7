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
}

export interface RangeServerOptions {
  readonly etag?: string;
  /** What it sends, given what is right and where it lies in the file. */
  readonly change?: (part: Buffer, from: number) => Buffer;
  /** Breaks off once so many bytes of a file were sent, at that byte of it. */
  readonly cutAt?: number;
  /** On one connection. */
  readonly bytesPerMs?: number;
}

/** Honest but for what the options say. */
export function rangeServer({ etag, change = (part) => part, cutAt = Infinity, bytesPerMs }: RangeServerOptions = {}): RangeServer {
  const asked: AskedRange[] = [];
  const lie = (response: ServerResponse, file: Buffer = Buffer.alloc(0), request: IncomingMessage): void => {
    const [range, first = '0', last = ''] = /^bytes=(\d+)-(\d+)$/u.exec(request.headers.range ?? '') ?? [];
    const from = Number(first);
    const to = last === '' ? file.length : Number(last) + 1;
    asked.push({ from, to, ifRange: request.headers['if-range'] as string | undefined });
    const headers = { 'Content-Length': to - from, ...(etag === undefined ? {} : { ETag: etag }) };
    if (range === undefined) response.writeHead(200, headers);
    else response.writeHead(206, { ...headers, 'Content-Range': `bytes ${from}-${to - 1}/${file.length}` });
    const part = change(file.subarray(from, Math.min(to, cutAt)), from);
    if (bytesPerMs !== undefined) drip(response, part, bytesPerMs);
    else if (to <= cutAt) response.end(part);
    else response.write(part, () => response.destroy());
  };
  return { lie, asked };
}

function drip(response: ServerResponse, part: Buffer, bytesPerMs: number): void {
  const started = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    const due = Math.min(part.length, Math.ceil((performance.now() - started) * bytesPerMs));
    if (due > sent) response.write(part.subarray(sent, due));
    sent = due;
    if (sent === part.length) response.end();
    if (sent === part.length || response.destroyed) clearInterval(timer);
  }, 2);
}
