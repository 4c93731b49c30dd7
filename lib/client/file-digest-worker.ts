/** The thread of `file-digest.ts`: reads a file that another thread writes, and hashes it from its beginning, as far as it is told. */
import { createHash } from 'node:crypto';
import { readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import type { DigestOrder, DigestReport, DigestTask } from './file-digest.ts';

const CHUNK_BYTES = 1 << 20;
// Proof: `file-digest.ts` starts this thread with its task, and sends nothing but orders.
const { fd, algorithm } = workerData as DigestTask;
const digest = createHash(algorithm);
const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
let hashed = 0;

function hashUpTo(lengthBytes: number): void {
  while (hashed < lengthBytes) {
    const read = readSync(fd, buffer, 0, Math.min(buffer.length, lengthBytes - hashed), hashed);
    if (read === 0) throw new RangeError(`it ends after ${hashed} bytes; expected ${lengthBytes}`);
    digest.update(buffer.subarray(0, read));
    hashed += read;
  }
}

parentPort?.on('message', (order: DigestOrder) => {
  hashUpTo(order.lengthBytes);
  if (!order.isLast) return;
  const report: DigestReport = { hex: digest.digest('hex') };
  parentPort?.postMessage(report, []);
});
