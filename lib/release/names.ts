/**
 * What releases and their images are called.
 *
 * Rule: every name that is accepted here makes target names and folders that every TUF client, file system and web server
 * takes as they are: letters, digits and `. _ - +`, no leading dot, no two dots in a row.
 */
import parse from 'semver/functions/parse.js';
import { GantryError, quote } from '../errors.ts';
import type { Sha256Hex } from '../tuf/types.ts';

export type ImageKind = 'boot' | 'root' | 'hash';
export type Compression = 'zst' | 'lz4';

export interface ImageName {
  readonly product: string;
  readonly variant: string;
  readonly arch: string;
  /** SemVer. */
  readonly version: string;
  /** Tells two builds of one version apart. */
  readonly build: string;
  readonly image: ImageKind;
  readonly compression: Compression;
}

const SUFFIXES: Readonly<Record<ImageKind, string>> = { boot: 'boot.ext4', root: 'root.ext4', hash: 'root.verity' };

const WORDS = /^[A-Za-z0-9]+(?:(?:\.|[_-]+)[A-Za-z0-9]+)*$/u;
const WORDS_FORM = 'letters and digits, joined by single dots, "_" or "-"';
const GRAMMARS = {
  product: { pattern: WORDS, form: WORDS_FORM, maxLength: 40 },
  variant: { pattern: WORDS, form: WORDS_FORM, maxLength: 64 },
  arch: { pattern: /^[a-z0-9_]+$/u, form: 'lower-case letters, digits and "_", such as "x86_64" or "aarch64"', maxLength: 32 },
  build: { pattern: WORDS, form: WORDS_FORM, maxLength: 40 },
} as const;

/** `SHA256.NAME.frames` must fit into the 255 bytes that file systems give a name. */
const IMAGE_NAME_MAX_LENGTH = 255 - 65 - '.frames'.length;

/**
 * @returns the name
 * @throws GantryError `release/bad-name`
 */
export function checkName(what: 'product' | 'variant' | 'arch' | 'build', name: string): string {
  const { pattern, form, maxLength } = GRAMMARS[what];
  if (name.length > maxLength || !pattern.test(name)) {
    throw badName(what, name, `expected ${form}, at most ${maxLength} characters`);
  }
  // VARIANT/ARCH/ and targets/ lie side by side in a store.
  if (what === 'variant' && name.toLowerCase() === 'targets') {
    throw badName(what, name, 'the folder of that name holds the target files; expected another one');
  }
  return name;
}

/**
 * `PRODUCT-VARIANT-ARCH-VERSION-BUILD-{boot.ext4,root.ext4,root.verity}.{zst,lz4}`, Bottlerocket's names.
 *
 * @throws GantryError `release/bad-name`, `release/bad-version`
 */
export function imageTargetName(parts: ImageName): string {
  const { image, compression } = parts;
  const words = [
    checkName('product', parts.product),
    checkName('variant', parts.variant),
    checkName('arch', parts.arch),
    parseVersion(parts.version),
    checkName('build', parts.build),
    SUFFIXES[image],
  ];
  const name = `${words.join('-')}.${compression}`;
  if (name.length > IMAGE_NAME_MAX_LENGTH) {
    throw badName('target', name, `it has ${name.length} characters; expected at most ${IMAGE_NAME_MAX_LENGTH}`);
  }
  return name;
}

/**
 * Strict SemVer 2.0.0, exactly as given: no leading `v`, no blanks.
 *
 * @throws GantryError `release/bad-version`
 */
export function parseVersion(text: string): string {
  // The library forgives a leading `v` or `=` and blanks around; hosts do not.
  if (/^\d\S*$/u.test(text) && parse(text) !== null) return text;
  throw new GantryError(
    'release/bad-version',
    `Cannot use ${quote(text)} as a version: it is not SemVer; expected MAJOR.MINOR.PATCH, for example "1.2.0"`,
    { version: text },
  );
}

/** What a raw image is called where only its kind matters: the end of its target's name. */
export function imageFileName(image: ImageKind): string {
  return SUFFIXES[image];
}

/** The default BUILD. @param rawRootSha256 digest of the root image before compression */
export function buildIdFrom(rawRootSha256: Sha256Hex): string {
  return rawRootSha256.slice(0, 8);
}

function badName(what: string, name: string, expected: string): GantryError {
  return new GantryError('release/bad-name', `Cannot use ${quote(name)} as the ${what} name: ${expected}`, { what, name });
}
