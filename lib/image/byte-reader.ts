/** A stream read in pieces of the reader's choice; several of its chunks may be in use at once, so each must have memory of its own. */
export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  #held: Buffer<ArrayBuffer> = Buffer.alloc(0);
  #offset = 0;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Bytes taken so far. */
  get offset(): number {
    return this.#offset;
  }

  /** The next bytes, fewer only at the end. */
  async take(length: number): Promise<Buffer<ArrayBuffer>> {
    const bytes = await this.peek(length);
    this.#held = this.#held.subarray(bytes.length);
    this.#offset += bytes.length;
    return bytes;
  }

  /** Like `take`, and the bytes stay. */
  async peek(length: number): Promise<Buffer<ArrayBuffer>> {
    if (this.#held.length < length) await this.#fill(length);
    return this.#held.subarray(0, length);
  }

  async atEnd(): Promise<boolean> {
    return (await this.peek(1)).length === 0;
  }

  /** Tells the source that nothing more is wanted. */
  async close(): Promise<void> {
    await this.#source.return?.();
  }

  async #fill(length: number): Promise<void> {
    const parts: Uint8Array[] = [this.#held];
    for (let have = this.#held.length; have < length;) {
      const next = await this.#source.next();
      if (next.done === true) break;
      parts.push(Buffer.from(next.value.buffer, next.value.byteOffset, next.value.length));
      have += next.value.length;
    }
    this.#held = Buffer.concat(parts);
  }
}
