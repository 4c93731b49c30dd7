/**
 * One LZ4 block (LZ4 block format): sequences of literals and matches that look back at most 64 KiB.
 *
 * Every length and offset is checked before it is used; nothing is read or written outside the given bytes.
 */

const MIN_MATCH = 4;
/** A byte of a block makes no more raw bytes than this: it adds 255 to the length of a match at most. */
const MAX_RATIO = 255;

/**
 * @param window what linked blocks may look back at; empty for independent ones
 * @returns the raw bytes, or undefined when the block is damaged or makes more than `maxBytes`
 */
export function decodeBlock(block: Uint8Array, window: Uint8Array, maxBytes: number): Buffer | undefined {
  // Many tiny blocks must not cost a large buffer each.
  const out = Buffer.allocUnsafe(window.length + Math.min(maxBytes, block.length * MAX_RATIO));
  out.set(window, 0);
  let from = 0;
  let to = window.length;
  /** A length that goes on in following bytes; -1 when they are missing. */
  const extended = (start: number): number => {
    if (start !== 15) return start;
    for (let length = start; ;) {
      const byte = block[from];
      from += 1;
      if (byte === undefined) return -1;
      length += byte;
      if (byte !== 255) return length;
    }
  };
  for (;;) {
    const token = block[from];
    if (token === undefined) return undefined;
    from += 1;
    const literals = extended(token >> 4);
    if (literals < 0 || from + literals > block.length || to + literals > out.length) return undefined;
    out.set(block.subarray(from, from + literals), to);
    from += literals;
    to += literals;
    if (from === block.length) return out.subarray(window.length, to);
    const [low, high] = [block[from], block[from + 1]];
    from += 2;
    if (low === undefined || high === undefined) return undefined;
    const distance = low | (high << 8);
    const match = extended(token & 15);
    const length = match + MIN_MATCH;
    if (match < 0 || distance === 0 || distance > to || to + length > out.length) return undefined;
    copyMatch(out, to, distance, length);
    to += length;
  }
}

/** A match may overlap what it produces: then it repeats its last `distance` bytes. */
function copyMatch(out: Buffer, to: number, distance: number, length: number): void {
  if (distance >= length) {
    out.copyWithin(to, to - distance, to - distance + length);
  } else if (distance === 1) {
    out.fill(out[to - 1] ?? 0, to, to + length);
  } else {
    for (let index = to; index < to + length; index += 1) out[index] = out[index - distance] ?? 0;
  }
}
