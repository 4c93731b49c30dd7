/**
 * The memory that parts are read into: one budget for all objects that a store sends at the same time, however many these are.
 *
 * Whoever holds a buffer fills or sends it and needs no other one for that, so nobody waits for ever.
 */

/** For 4 parts of the smallest size that S3 takes. */
const BUDGET_BYTES = 20 << 20;

export interface PartBuffers {
  /** Waits until there is room. A buffer larger than the budget is given when no other one is out. */
  take(bytes: number): Promise<Uint8Array>;
  /** @param buffer as it was taken, or a part of it */
  giveBack(buffer: Uint8Array): void;
  /** Buffers are used again until nobody sends any more: the garbage collector takes its time with those of this size. */
  during<T>(sending: () => Promise<T>): Promise<T>;
}

export function createPartBuffers(budgetBytes: number = BUDGET_BYTES): PartBuffers {
  let users = 0;
  let out = 0;
  let free: ArrayBufferLike[] = [];
  const waiting: { readonly bytes: number; readonly start: () => void }[] = [];
  const hasRoom = (bytes: number): boolean => out === 0 || out + bytes <= budgetBytes;
  return {
    async take(bytes) {
      if (waiting.length > 0 || !hasRoom(bytes)) await new Promise<void>((start) => waiting.push({ bytes, start }));
      else out += bytes;
      const again = free.find(({ byteLength }) => byteLength === bytes);
      free = free.filter((buffer) => buffer !== again);
      return new Uint8Array(again ?? new ArrayBuffer(bytes));
    },
    giveBack({ buffer }) {
      out -= buffer.byteLength;
      free.push(buffer);
      for (let next = waiting[0]; next !== undefined && hasRoom(next.bytes); next = waiting[0]) {
        waiting.shift();
        out += next.bytes;
        next.start();
      }
    },
    async during(sending) {
      users += 1;
      try {
        return await sending();
      } finally {
        users -= 1;
        if (users === 0) free = [];
      }
    },
  };
}
