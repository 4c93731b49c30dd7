/**
 * What the workers can do: the registry of their jobs.
 *
 * Rules:
 * - a job is a plain synchronous function, so that it can be tested, and run, without a worker;
 * - buffers are handed over whole, in both directions; whoever handed one over has it no longer;
 * - a new job is a function, its line in `Jobs` and its line in `JOBS`.
 */
import {
  compressFrameJob,
  decompressFrameJob,
  type CompressFrameInput,
  type CompressFrameOutput,
  type DecompressFrameInput,
  type DecompressFrameOutput,
} from './frame-codec.ts';
import { hashBlocksJob, type HashBlocksInput, type HashBlocksOutput } from './verity-hash.ts';
import type { Job } from './worker-serve.ts';

export interface Jobs {
  readonly 'compress-frame': Job<CompressFrameInput, CompressFrameOutput>;
  readonly 'decompress-frame': Job<DecompressFrameInput, DecompressFrameOutput>;
  readonly 'hash-blocks': Job<HashBlocksInput, HashBlocksOutput>;
}

export const JOBS: Jobs = {
  'compress-frame': compressFrameJob,
  'decompress-frame': decompressFrameJob,
  'hash-blocks': hashBlocksJob,
};
