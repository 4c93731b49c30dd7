/** The order of versions that hosts use (the semver crate's): SemVer precedence, then build metadata. */
import type SemVer from 'semver/classes/semver.js';
import parse from 'semver/functions/parse.js';

/**
 * Negative when `left` is older, zero only for equal texts. The semver library leaves build metadata out of the precedence
 * and rounds numbers beyond 2^53 in both parts; hosts do neither.
 *
 * @param left a strict SemVer
 * @throws RangeError when one of them is not a version: parse it first
 */
export function compareVersions(left: string, right: string): number {
  return compareParsed(parsed(left), parsed(right));
}

function compareParsed(a: SemVer, b: SemVer): number {
  return (
    a.compareMain(b) ||
    // A release is newer than its own pre-releases.
    Number(b.prerelease.length > 0) - Number(a.prerelease.length > 0) ||
    compareIdentifiers(prereleaseOf(a), prereleaseOf(b)) ||
    compareIdentifiers(a.build, b.build)
  );
}

/** The position of each version in the order, from 0: cheaper than comparing where there are many. @throws RangeError as `compareVersions` */
export function versionRanks(versions: readonly string[]): ReadonlyMap<string, number> {
  const sorted = Array.from(new Set(versions), parsed).toSorted(compareParsed);
  return new Map(sorted.map(({ raw }, index) => [raw, index]));
}

/** The greatest of the versions. */
export function newest(versions: readonly [string, ...string[]]): string {
  return versions.reduce((best, version) => (compareVersions(version, best) > 0 ? version : best));
}

function parsed(text: string): SemVer {
  const version = parse(text);
  if (version === null) throw new RangeError(`${JSON.stringify(text)} is not a version`);
  return version;
}

/** As text: the library's own list has lost the digits of large numbers. */
function prereleaseOf(version: SemVer): readonly string[] {
  const [core = ''] = version.raw.split('+');
  const dash = core.indexOf('-');
  return dash === -1 ? [] : core.slice(dash + 1).split('.');
}

function compareIdentifiers(left: readonly string[], right: readonly string[]): number {
  for (const [index, a] of left.entries()) {
    const b = right[index];
    if (b === undefined) return 1;
    const order = compareIdentifier(a, b);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

/** Numbers by value, below words; words by their bytes; among equal numbers the one with fewer leading zeros first. */
function compareIdentifier(a: string, b: string): number {
  const [aIsNumber, bIsNumber] = [/^\d+$/u.test(a), /^\d+$/u.test(b)];
  if (aIsNumber !== bIsNumber) return aIsNumber ? -1 : 1;
  if (!aIsNumber) return compareText(a, b);
  const [aDigits, bDigits] = [a.replace(/^0+/u, ''), b.replace(/^0+/u, '')];
  return aDigits.length - bDigits.length || compareText(aDigits, bDigits) || a.length - b.length;
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
