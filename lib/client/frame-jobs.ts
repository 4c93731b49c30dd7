/** What the threads of a download do: an authenticated frame is decompressed and written where it belongs, without a way back. */
import { writeSync } from 'node:fs';
import { fromSystemError } from '../files/read.ts';
import { decompressFrameJob } from '../image/frame-codec.ts';
import type { Job, JobResult } from '../image/worker-serve.ts';

export interface UnpackFrameInput {
  /** Authenticated before. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly index: number;
  readonly rawLengthBytes: number;
  /** Of this process: its threads share them. */
  readonly fd: number;
  /** For messages. */
  readonly path: string;
  readonly position: number;
}

export interface FrameJobs {
  readonly 'unpack-frame': Job<UnpackFrameInput, undefined>;
}

export const FRAME_JOBS: FrameJobs = { 'unpack-frame': unpackFrameJob };

/** @throws GantryError `image/bad-frame`, `files/disk-full`, `files/not-writable` */
function unpackFrameJob({ bytes, index, rawLengthBytes, fd, path, position }: UnpackFrameInput): JobResult<undefined> {
  // The digest of the whole image follows, so that of each raw frame would say nothing new.
  const { raw } = decompressFrameJob({ bytes, frame: { rawLengthBytes }, index }).output;
  try {
    for (let done = 0; done < raw.length;) done += writeSync(fd, raw, done, raw.length - done, position + done);
  } catch (error) {
    throw fromSystemError(error, path, 'write');
  }
  // Freed here and now: the collector does not see how much memory lies outside of its own.
  raw.buffer.transfer(0);
  return { output: undefined, transfer: [] };
}
