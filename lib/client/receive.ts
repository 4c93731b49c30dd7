/**
 * Bytes of a target as mirrors send them, compared with what is signed.
 *
 * Rules:
 * - a stream is counted and hashed to its end; nothing of it counts before;
 * - a mirror that sent what was not signed is not asked again, and as long as others are left the work begins anew with them;
 * - a file that changed on its server is begun anew once.
 */
import { createHash } from 'node:crypto';
import { GantryError, isGantryError } from '../errors.ts';
import type { Mirrors, TargetRequest, TargetStream } from './mirrors.ts';
import type { VerifiedTarget } from './target.ts';

/** What may be told to, and asked of, a stream. */
export interface StreamOptions {
  readonly signal?: AbortSignal;
  /** Published bytes received so far. */
  readonly onProgress?: (bytes: number) => void;
}

/** What the streams need of the client. */
export interface TargetSource {
  readonly mirrors: Mirrors;
  /** @throws GantryError `client/target-unknown` */
  target(path: string, options: { readonly signal?: AbortSignal }): Promise<VerifiedTarget>;
  /** For spooled files; on the disk of the state, not in memory. */
  readonly stateDirectory: string;
  /** What the caller should hear, in a sentence. */
  notice(text: string): void;
}

export type Chunks = AsyncGenerator<Uint8Array, void, undefined>;

/** Where a target lies below the folder of targets, as it stands in a URL. */
function publishedPath({ path, digest }: VerifiedTarget): string {
  return path.publishedName(digest.hex).split('/').map(encodeURIComponent).join('/');
}

/** The published bytes, or a part of them, as they come: not verified. */
export function streamOf(source: TargetSource, target: VerifiedTarget, request: Omit<TargetRequest, 'totalBytes'>): TargetStream {
  return source.mirrors.streamTarget(publishedPath(target), { ...request, totalBytes: target.lengthBytes });
}

/** As it comes over the wire, counted and hashed to its end; not authenticated before that. */
export async function* receive(source: TargetSource, target: VerifiedTarget, { onProgress, ...request }: StreamOptions): Chunks {
  const { algorithm, hex } = target.digest;
  const stream = streamOf(source, target, request);
  const digest = createHash(algorithm);
  let received = 0;
  for await (const chunk of stream.chunks) {
    digest.update(chunk);
    received += chunk.length;
    onProgress?.(received);
    yield chunk;
  }
  blaming(source, stream, () => refuseAltered(target, digest.digest('hex'), hex, `its ${digestName(target)}`));
}

export function digestName({ digest }: VerifiedTarget): string {
  return digest.algorithm === 'sha256' ? 'SHA-256' : 'SHA-512';
}

/** A mirror that sent what was not signed is not asked again. */
export function blaming(source: TargetSource, stream: Pick<TargetStream, 'servedBy'>, check: () => void): void {
  try {
    check();
  } catch (error) {
    if (isGantryError(error)) source.mirrors.blame(stream, error.message);
    throw error;
  }
}

/**
 * Begins anew for as long as that may help: when a mirror was dropped and others are left, and once when the file changed on its server.
 *
 * @param attempt hands nothing out before it has succeeded
 */
export async function untilHonest<T>(source: TargetSource, attempt: () => Promise<T>): Promise<T> {
  let hasChanged = false;
  for (;;) {
    const before = source.mirrors.count;
    try {
      return await attempt();
    } catch (error) {
      const isChange: boolean = isGantryError(error, 'http/changed') && !hasChanged;
      const wasDropped: boolean = isGantryError(error, 'client/target-altered') && source.mirrors.count < before;
      if (!isChange && !wasDropped) throw error;
      hasChanged ||= isChange;
    }
  }
}

/** A small target as bytes, authenticated. */
export async function fetchVerified(
  source: TargetSource,
  target: VerifiedTarget,
  options: Pick<StreamOptions, 'signal'>,
): Promise<Uint8Array> {
  return untilHonest(source, async () => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of receive(source, target, options)) chunks.push(chunk);
    return Buffer.concat(chunks);
  });
}

/** @throws GantryError `client/target-altered` unless both are the same */
export function refuseAltered(target: VerifiedTarget, found: string, expected: string, what: string): void {
  if (found === expected) return;
  const path = target.path.memberName();
  throw new GantryError('client/target-altered', `Cannot accept ${path}: ${what} is ${found}; the signed metadata says ${expected}`, {
    path,
    expected,
    found,
  });
}
