/**
 * Names of targets.
 *
 * The grammar is what every client fetches alike (tuf-interop rule 13): segments of `A-Za-z0-9._-+` joined by `/`, none of
 * them empty or starting with a dot.
 */
import { GantryError, quote } from '../errors.ts';
import type { Sha256Hex, Sha512Hex } from './types.ts';

const SEGMENT = /^[A-Za-z0-9_+-][A-Za-z0-9._+-]*$/u;
const MAX_LENGTH = 1024;
/** A file name has 255 bytes at most, and a digest and a dot stand in front. */
const MAX_SEGMENT_LENGTH = 255 - 65;

/** A target's name; it offers no plain-string view, ask for the one that is meant. */
export class TargetPath {
  readonly #segments: readonly string[];

  private constructor(segments: readonly string[]) {
    this.#segments = segments;
  }

  /** @throws GantryError `tuf/bad-target-path` */
  static parse(text: string): TargetPath {
    const segments = text.split('/');
    const bad = segments.find((segment) => !SEGMENT.test(segment) || segment.length > MAX_SEGMENT_LENGTH);
    if (bad === undefined && text.length <= MAX_LENGTH) return new TargetPath(segments);
    throw new GantryError(
      'tuf/bad-target-path',
      `Cannot use the target name ${quote(text)}: ${bad === undefined ? `it has more than ${MAX_LENGTH} characters` : `the part ${quote(bad)} is not portable`}; ` +
        'expected parts of A-Z a-z 0-9 . _ - + joined by "/", none empty or starting with a dot',
      { path: text },
    );
  }

  static isPortable(text: string): boolean {
    return text.length <= MAX_LENGTH && text.split('/').every((part) => SEGMENT.test(part) && part.length <= MAX_SEGMENT_LENGTH);
  }

  /** The member name in `targets`. */
  memberName(): string {
    return this.#segments.join('/');
  }

  /** Percent-encoded, for a URL. */
  urlPath(): string {
    return this.#segments.map(encodeURIComponent).join('/');
  }

  /** Flat: what a file is called when it is downloaded into a folder. */
  fileName(): string {
    return this.#segments.join('_');
  }

  /** Where the specification's clients look: the digest stands before the last part. */
  publishedName(digest: Sha256Hex | Sha512Hex): string {
    return [...this.#segments.slice(0, -1), `${digest}.${this.#segments.at(-1) ?? ''}`].join('/');
  }

  /** Every name under which it must be published: tough looks for the digest before the first part (rule 13). */
  publishedNames(sha256: Sha256Hex): readonly string[] {
    return [...new Set([this.publishedName(sha256), `${sha256}.${this.memberName()}`])];
  }
}
