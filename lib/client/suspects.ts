/**
 * Mirrors that were caught while metadata was refreshed.
 *
 * Rules:
 * - who sends what was not signed, or another file than the one that is asked for, is dropped;
 * - who is behind, with metadata that is older than what is trusted or has expired, may be honest: the others are asked first;
 * - what is wrong with every mirror is wrong with the repository, and the first refusal says it.
 */
import { isGantryError, type GantryError } from '../errors.ts';
import type { Mirror, Mirrors } from './mirrors.ts';

export class Suspects {
  readonly #mirrors: Mirrors;
  readonly #behind = new Set<Mirror>();
  #first: GantryError | undefined;

  constructor(mirrors: Mirrors) {
    this.#mirrors = mirrors;
  }

  /** What to tell when nobody is left; the trust decision comes before the state of the network. */
  reason(refusal: unknown): unknown {
    return this.#first ?? refusal;
  }

  /**
   * Whether another mirror is worth a try.
   *
   * @param mirror who sent the file that was refused; undefined when it came from elsewhere, or no file is at fault
   */
  goOnWithout(mirror: Mirror | undefined, refusal: unknown): boolean {
    if (mirror === undefined || !isGantryError(refusal)) return false;
    if (refusal.code === 'client/untrusted') {
      this.#first ??= refusal;
      return this.#mirrors.drop(mirror, refusal.message);
    }
    if (refusal.code !== 'client/rollback' && refusal.code !== 'client/expired') return false;
    this.#first ??= refusal;
    this.#behind.add(mirror);
    this.#mirrors.demote(mirror);
    return this.#mirrors.some((other) => !this.#behind.has(other));
  }
}
