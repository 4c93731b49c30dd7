/**
 * What a file is, as an image: its form, what it holds, its digests, and what it would cost to ship.
 *
 * Rules:
 * - a raw image is read once; a compressed one twice, as it is and decompressed;
 * - what is wrong with it is a finding and no error, unless it cannot be read at all;
 * - only what a superblock or a table says is told: what it holds is not verified.
 */
import { GantryError, quote, type LintFinding } from '../errors.ts';
import type { StableFile } from '../files/read.ts';
import { FILE_SYSTEM_HEAD_BYTES } from '../image/file-system.ts';
import { measuring, type Measured } from '../image/measure.ts';
import { sampleCompression, type CompressionSample } from '../image/sample.ts';
import { readCompressed, type CompressedInfo } from './compressed-info.ts';
import { inspectDisk, type DiskInfo } from './disk-info.ts';
import { heldFindings, heldIn, type Held } from './held.ts';
import { withImageFile, type ImageFile } from './image-file.ts';

export interface ImageInfo {
  readonly path: string;
  readonly lengthBytes: number;
  /** On the disk: less than the length where there are holes. */
  readonly allocatedBytes: number;
  readonly sha256: string;
  /** Absent for a raw image. */
  readonly compressed?: CompressedInfo;
  /** The image itself: the file, or what comes out of it. */
  readonly raw: Measured;
  /** Absent when it is nothing that is known. */
  readonly holds?: Held | HeldDisk;
  readonly sample: CompressionSample;
  readonly findings: readonly LintFinding[];
}

/** `disk` is absent when the table cannot be read: because it is damaged, or compressed with the rest. */
export interface HeldDisk {
  readonly kind: 'disk';
  readonly disk?: DiskInfo;
}

export interface InspectOptions {
  /** zstd level of the sample. */
  readonly level: number;
  readonly signal?: AbortSignal;
  /** Told how much of all reading is done. */
  readonly onProgress?: (progress: { readonly bytes: number; readonly totalBytes: number }) => void;
}

/** @throws GantryError `image/empty`, `image/bad-input`, `files/missing`, `files/not-readable`, `files/changed`, `aborted` */
export async function inspectImage(path: string, options: InspectOptions): Promise<ImageInfo> {
  return withImageFile(path, async (image) => {
    const { file, form } = image;
    if (file.lengthBytes === 0) {
      throw new GantryError('image/empty', `Cannot look at ${quote(path)}: it is empty; expected some bytes`, { what: path });
    }
    const totalBytes = file.lengthBytes * (form === 'raw' ? 1 : 2);
    const tell = (bytes: number): void => options.onProgress?.({ bytes, totalBytes });
    const whole = form === 'raw' ? undefined : await readCompressed(file, form, tell);
    const content = await readRaw(image, { ...options, tell: (bytes) => tell(bytes + (form === 'raw' ? 0 : file.lengthBytes)) });
    const { holds, findings } = await contentOf(file, form, content);
    return {
      path,
      lengthBytes: file.lengthBytes,
      allocatedBytes: file.allocatedBytes,
      sha256: whole?.sha256 ?? content.raw.sha256,
      ...(whole === undefined ? {} : { compressed: whole.compressed }),
      raw: content.raw,
      ...(holds === undefined ? {} : { holds }),
      sample: content.sample,
      findings,
    };
  });
}

interface Content {
  readonly raw: Measured;
  readonly head: Buffer;
  readonly sample: CompressionSample;
}

async function readRaw(image: ImageFile, options: InspectOptions & { readonly tell: (bytes: number) => void }): Promise<Content> {
  const { level, signal, tell } = options;
  const heads: Uint8Array[] = [];
  let wanted = FILE_SYSTEM_HEAD_BYTES;
  async function* headed(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of source) {
      // A copy: the source may use the chunk's memory again.
      if (wanted > 0) heads.push(Uint8Array.from(chunk.subarray(0, wanted)));
      wanted -= Math.min(wanted, chunk.length);
      yield chunk;
    }
  }
  const measured = measuring(headed(image.raw({ signal, onProgress: tell, memory: 'shared' })));
  const sample = await sampleCompression(measured.stream, { level, signal });
  return { raw: measured.result(), head: Buffer.concat(heads), sample };
}

async function contentOf(
  file: StableFile,
  form: ImageFile['form'],
  { head, raw }: Content,
): Promise<{ readonly holds?: Held | HeldDisk; readonly findings: readonly LintFinding[] }> {
  const held = heldIn(head);
  if (held !== undefined) return { holds: held, findings: heldFindings(held, { at: 'image', lengthBytes: raw.lengthBytes }) };
  const disk = await inspectDisk(form === 'raw' ? file : undefined, head);
  return disk === undefined ? { findings: [] } : { holds: { kind: 'disk', ...disk }, findings: disk.findings };
}
