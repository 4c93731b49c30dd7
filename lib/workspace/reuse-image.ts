/**
 * An image's published form out of the cache, or made and kept there.
 *
 * The digest of the first mebibyte says whether an image may be in the cache; only then is it read once more, and hashed, before anything
 * is compressed. So an image that is new costs no second reading, and one that is known costs no compression.
 */
import { measure } from '../image/measure.ts';
import { parseSha256Hex } from '../tuf/hash.ts';
import {
  CACHE_DEFAULT_MAX_BYTES,
  candidatesFor,
  entryName,
  keep,
  startOf,
  takeOut,
  type CachedImage,
  type TakenImage,
} from './image-cache.ts';
import type { Workspace } from './workspace.ts';

const START_BYTES = 1 << 20;

export interface Reusable {
  /** Format, level, and the versions of what makes it: everything but the raw image that decides over the bytes. */
  readonly form: string;
  /** The raw image from its first byte, as often as it is asked for. */
  readonly raw: (why: 'start' | 'check') => AsyncIterable<Uint8Array>;
  readonly signal?: AbortSignal;
  /** Its bytes lie among the objects afterwards. */
  readonly make: () => Promise<CachedImage>;
}

/** @throws GantryError what `make` and the raw image throw, `aborted` */
export async function reuseOrMake(workspace: Workspace, wanted: Reusable): Promise<CachedImage & { readonly reused: boolean }> {
  const maxBytes = workspace.config.cacheMaxBytes ?? CACHE_DEFAULT_MAX_BYTES;
  if (maxBytes === 0) return { ...(await wanted.make()), reused: false };
  const start = startOf(await firstBytes(wanted.raw('start')));
  const taken = await find(workspace, start, wanted);
  if (taken !== undefined) {
    await taken.accept();
    return { ...taken.image, reused: true };
  }
  const image = await wanted.make();
  await keep(workspace, entryName(start, image.raw.sha256, wanted.form), image, maxBytes);
  return { ...image, reused: false };
}

async function find(workspace: Workspace, start: string, { form, raw, signal }: Reusable): Promise<TakenImage | undefined> {
  const names = await candidatesFor(workspace, start, form);
  const [first, second] = names;
  if (first === undefined) return undefined;
  // The only candidate is compared with its digests while the image is hashed.
  const early = second === undefined ? takeOut(workspace, first, signal) : undefined;
  const hashed = measure(raw('check'));
  const [image, candidate] = await Promise.allSettled([hashed, early]);
  const held = candidate.status === 'fulfilled' ? candidate.value : undefined;
  if (image.status === 'rejected' || candidate.status === 'rejected') await held?.discard();
  if (image.status === 'rejected') throw image.reason;
  if (candidate.status === 'rejected') throw candidate.reason;
  const name = entryName(start, parseSha256Hex(image.value.sha256), form);
  if (name === first && early !== undefined) return held;
  await held?.discard();
  return names.includes(name) ? takeOut(workspace, name, signal) : undefined;
}

async function firstBytes(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of source) {
    // A copy: the source may use a chunk's memory again.
    const part = Buffer.from(chunk.subarray(0, START_BYTES - length));
    parts.push(part);
    length += part.length;
    if (length === START_BYTES) break;
  }
  return Buffer.concat(parts);
}
