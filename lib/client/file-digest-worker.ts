/** The thread of `file-digest.ts`: writes what it is given, reads what others wrote, and hashes both, from the beginning on. */
import { createHash } from 'node:crypto';
import { readSync, writevSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import type { DigestOrder, DigestReport, DigestTask } from './file-digest.ts';

const CHUNK_BYTES = 1 << 20;
// Proof: `file-digest.ts` starts this thread with its task, and sends nothing but orders.
const { fd, algorithm } = workerData as DigestTask;
const digest = createHash(algorithm);
let buffer: Buffer | undefined;
let hashed = 0;

function hashUpTo(lengthBytes: number): void {
  while (hashed < lengthBytes) {
    buffer ??= Buffer.allocUnsafeSlow(CHUNK_BYTES);
    const read = readSync(fd, buffer, 0, Math.min(buffer.length, lengthBytes - hashed), hashed);
    if (read === 0) throw new RangeError(`it ends after ${hashed} bytes; expected ${lengthBytes}`);
    digest.update(buffer.subarray(0, read));
    hashed += read;
  }
}

function append(chunks: readonly Uint8Array<ArrayBuffer>[], position: number): void {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  hashUpTo(position);
  let written = writevSync(fd, chunks, position);
  // Hardly ever: what is left of a write that stopped in the middle.
  while (written < length) written += writevSync(fd, [Buffer.concat(chunks).subarray(written)], position + written);
  for (const chunk of chunks) {
    digest.update(chunk);
    chunk.buffer.transfer(0);
  }
  hashed = position + length;
}

function obey(order: DigestOrder): DigestReport | undefined {
  switch (order.kind) {
    case 'append':
      append(order.chunks, order.position);
      return { kind: 'appended' };
    case 'advance':
      hashUpTo(order.lengthBytes);
      return undefined;
    case 'finish':
      hashUpTo(order.lengthBytes);
      return { kind: 'finished', hex: digest.digest('hex') };
  }
}

parentPort?.on('message', (order: DigestOrder) => {
  let report: DigestReport | undefined;
  try {
    report = obey(order);
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    report = { kind: 'failed', what: order.kind === 'append' ? 'write' : 'read', message, code };
  }
  if (report !== undefined) parentPort?.postMessage(report, []);
});
