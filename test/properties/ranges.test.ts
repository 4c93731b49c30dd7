/** Whatever a server answers to a request for a part, only our errors come of it, soon, and no wrong byte. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { isGantryError } from '../../lib/errors.ts';
import { assertSameBytes } from '../support/bytes.ts';
import type { Lie } from '../support/hostile-server.ts';
import { rangeServer } from '../support/range-server.ts';
import { simulatedHost } from '../support/simulated-host.ts';
import { createRepository } from '../support/simulator.ts';

const RUNS = Number(process.env['GANTRY_RANGES_RUNS'] ?? 60);
/** With an idle timeout of 250 ms and no patience, for two tries and a slow machine. */
const BOUND_MS = 10_000;
const RAW = createHash('shake256', { outputLength: (3 << 20) + 99 })
  .update('ranges')
  .digest();
const NAMES = ['plain.bin', 'os-root.img.zst'] as const;

interface Answer {
  readonly status: number;
  readonly contentRange: string;
  readonly contentLength: string;
  readonly etag: string;
  readonly more: string;
  readonly body: 'asked' | 'whole' | 'nothing' | 'short' | 'long' | 'other' | 'parts';
  readonly ends: boolean;
}

const number = fc.oneof(fc.constantFrom(0, 1, 2 ** 31, 2 ** 53, -1), fc.integer({ min: 0, max: RAW.length * 2 }));
const answer: fc.Arbitrary<Answer> = fc.record({
  status: fc.constantFrom(200, 206, 206, 206, 204, 304, 301, 416, 400, 404, 429, 500, 999),
  contentRange: fc.oneof(
    { weight: 4, arbitrary: fc.constant('asked') },
    fc.constantFrom(
      '',
      'bytes */1',
      'bytes 0-0/*',
      'bytes 5-4/9',
      'lines 0-4/5',
      'bytes 0-4/5, bytes 6-7/9',
      'bytes  1-2/3',
      `bytes ${'9'.repeat(400)}-1/2`,
    ),
    fc.tuple(number, number, number).map(([first, last, total]) => `bytes ${first}-${last}/${total}`),
    fc.string({ maxLength: 40 }).map((text) => text.replaceAll(/[^\x20-\x7e]/gu, '')),
  ),
  contentLength: fc.oneof({ weight: 4, arbitrary: fc.constant('right') }, fc.constantFrom('', '-1', '1e3', '0x10'), number.map(String)),
  etag: fc.constantFrom('"one"', '"two"', '', 'W/"one"', '"unclosed'),
  more: fc.constantFrom(
    '',
    'Content-Type: multipart/byteranges; boundary=b\r\n',
    'Transfer-Encoding: chunked\r\n',
    'Content-Encoding: gzip\r\n',
    'Retry-After: 99999\r\n',
    'Location: //elsewhere/\r\n',
  ),
  body: fc.constantFrom('asked', 'asked', 'whole', 'nothing', 'short', 'long', 'other', 'parts'),
  ends: fc.boolean(),
});

function bodyOf({ body }: Answer, file: Buffer, from: number, to: number): Buffer {
  const asked = file.subarray(from, to);
  switch (body) {
    case 'asked':
      return asked;
    case 'whole':
      return file;
    case 'nothing':
      return Buffer.alloc(0);
    case 'short':
      return asked.subarray(0, asked.length >> 1);
    case 'long':
      return Buffer.concat([asked, Buffer.alloc(1000)]);
    case 'other':
      return Buffer.alloc(asked.length, 1);
    case 'parts':
      return Buffer.concat([
        Buffer.from(`--b\r\nContent-Range: bytes ${from}-${to - 1}/${file.length}\r\n\r\n`),
        asked,
        Buffer.from('\r\n--b--'),
      ]);
  }
}

/** Past Node's own server, which would not send most of it. */
function raw(what: Answer): Lie {
  return (response, file = Buffer.alloc(0), request) => {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/u.exec(request.headers.range ?? '') ?? [];
    const [from, to] = [Number(first ?? 0), last === undefined ? file.length : Number(last) + 1];
    const body = bodyOf(what, file, from, to);
    const range = what.contentRange === 'asked' ? `bytes ${from}-${to - 1}/${file.length}` : what.contentRange;
    const length = what.contentLength === 'right' ? String(body.length) : what.contentLength;
    const head = [
      `HTTP/1.1 ${what.status} X`,
      ...(range === '' ? [] : [`Content-Range: ${range}`]),
      ...(length === '' ? [] : [`Content-Length: ${length}`]),
      ...(what.etag === '' ? [] : [`ETag: ${what.etag}`]),
    ];
    const { socket } = response;
    socket?.on('error', () => undefined);
    socket?.write(`${head.join('\r\n')}\r\n${what.more}\r\n`);
    if (what.ends) socket?.end(body);
    else socket?.write(body);
  };
}

test('a download that is gone on with takes nothing wrong from a server that answers with anything', async (t) => {
  const simulator = await createRepository();
  simulator.targets.set('plain.bin', { bytes: RAW });
  await simulator.addImage('os-root.img.zst', RAW, 'zstd-frames');
  await simulator.publish();
  const host = await simulatedHost(t, simulator);
  const file = join(host.directory, 'out');
  const parameters = { numRuns: RUNS, verbose: 1 } as const;
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...NAMES), answer, answer, async (name, one, other) => {
      const path = simulator.targetFile(name);
      await rm(file, { force: true });
      // A client of its own each time, since a server may ask to be left alone for a day.
      const download = async (): Promise<unknown> => {
        const client = await host.refreshed({ idleTimeoutMs: 250 });
        return client.download(await client.target(name), file).finally(() => client.close());
      };
      const expected = Buffer.from(simulator.targets.get(name)?.bytes ?? assert.fail());
      host.server.lies.set(path, rangeServer({ cutAt: 2 << 20, etag: '"one"' }).lie);
      await assert.rejects(download(), { code: 'http/interrupted' });
      const started = performance.now();
      for (const lie of [one, other]) {
        host.server.lies.set(path, raw(lie));
        await download().catch((error: unknown) => {
          if (!isGantryError(error)) throw error;
          assert.match(error.code, /^(?:http|client|image)\//u, error.message);
        });
        if (existsSync(file)) assertSameBytes(await readFile(file), expected);
      }
      assert.ok(performance.now() - started < BOUND_MS);
      host.server.lies.delete(path);
      await download();
      assertSameBytes(await readFile(file), expected);
    }),
    parameters,
  );
});
