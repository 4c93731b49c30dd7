/**
 * Memory of large bodies, freed when it is done with instead of when the collector comes by: a gigabyte would else leave some 70 MB lying
 * around, and every read would touch new pages.
 *
 * Rules:
 * - only a buffer that holds one chunk and nothing else is freed;
 * - what was read from the socket is freed once Node's parser has copied the body out of it.
 */
import type { IncomingMessage } from 'node:http';

/** The chunk is empty afterwards. */
export function freeMemory({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength && byteLength > 0) buffer.transfer(0);
}

/** The same bytes in a buffer of their own. */
export function ownMemory(chunk: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer, byteLength } = chunk;
  return buffer instanceof ArrayBuffer && buffer.byteLength === byteLength ? new Uint8Array(buffer) : new Uint8Array(chunk);
}

/** For as long as this answer comes: on a connection that is used again, the parser would listen behind us. */
export function freeAsItIsParsed(response: IncomingMessage): void {
  const { socket } = response;
  const stop = (): void => void socket.off('data', freeMemory);
  socket.on('data', freeMemory);
  response.once('end', stop);
  response.once('close', stop);
}
