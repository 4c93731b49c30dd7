/**
 * A stream cut into blocks of one size; the last one may be shorter.
 *
 * Each block is the receiver's own: it is never written to again.
 *
 * @param reuse gives back memory of `blockBytes` that a receiver is done with, when there is some
 */
export async function* blocksOf(
  source: AsyncIterable<Uint8Array>,
  blockBytes: number,
  reuse: () => ArrayBuffer | undefined = () => undefined,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const next = (): Uint8Array<ArrayBuffer> => new Uint8Array(reuse() ?? Buffer.allocUnsafeSlow(blockBytes).buffer);
  let block: Uint8Array<ArrayBuffer> | undefined;
  let filled = 0;
  for await (const chunk of source) {
    for (let start = 0; start < chunk.length;) {
      block ??= next();
      const taken = Math.min(chunk.length - start, blockBytes - filled);
      block.set(chunk.subarray(start, start + taken), filled);
      start += taken;
      filled += taken;
      if (filled < blockBytes) continue;
      yield block;
      block = undefined;
      filled = 0;
    }
  }
  if (block !== undefined) yield block.subarray(0, filled);
}
