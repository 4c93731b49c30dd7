/** Small objects of a store as bytes: metadata, and what is as small. */
import { GantryError, isGantryError, quote } from '../errors.ts';
import type { Store, StorePath, StoreVersion } from '../store/store.ts';
import { sha256Hex } from '../tuf/hash.ts';

/** An object that is replaced while it is read may come with the digest of another version, once. */
const MAX_READS = 3;

interface SmallObject {
  readonly bytes: Uint8Array;
  readonly version: StoreVersion;
  readonly modified?: Date;
}

/**
 * A small object as bytes, or undefined when the store says that it is missing.
 *
 * @throws GantryError `store/failed` when the bytes stay others than those whose digest the store keeps: what is derived from old bytes
 * must not replace what came after them under the new version
 */
export async function readObject(store: Store, path: StorePath, maxBytes: number): Promise<SmallObject | undefined> {
  for (let tried = 1; ; tried += 1) {
    const found = await readOnce(store, path, maxBytes);
    if (found?.announced === undefined || found.announced === sha256Hex(found.bytes)) return found;
    if (tried < MAX_READS) continue;
    throw new GantryError(
      'store/failed',
      `Cannot read ${quote(path)}: its bytes are not of the version that the store tells; expected SHA-256 ${found.announced}`,
      { path, call: 'read' },
    );
  }
}

async function readOnce(
  store: Store,
  path: StorePath,
  maxBytes: number,
): Promise<(SmallObject & { readonly announced: string | undefined }) | undefined> {
  try {
    const { info, body } = await store.read(path);
    const chunks: Uint8Array[] = [];
    let length = 0;
    for await (const chunk of body) {
      length += chunk.length;
      if (length > maxBytes) {
        throw new GantryError('store/too-long', `Cannot read ${quote(path)}: it has more than ${maxBytes} bytes; expected at most that`, {
          path,
          maxBytes,
        });
      }
      chunks.push(chunk);
    }
    const { version, modified, sha256: announced } = info;
    return { bytes: Buffer.concat(chunks), version, announced, ...(modified === undefined ? {} : { modified }) };
  } catch (error) {
    if (isGantryError(error, 'store/missing')) return undefined;
    throw error;
  }
}
