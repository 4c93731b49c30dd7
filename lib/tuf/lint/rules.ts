/** What each rule of the portability lint wants: findings and docs/lint.md take their words from here. */

export interface LintRule {
  /** Stable: it is never renamed and never reused with another meaning. */
  readonly id: string;
  /** Markdown, one line. */
  readonly wants: string;
  /** Who stumbles when it is broken. */
  readonly who: string;
  readonly fix: string;
}

/** The number is the one that the checks report. */
function rule(number: number, wants: string, who: string, fix: string): readonly [number, LintRule] {
  return [number, { id: `tuf-${number}`, wants, who, fix }];
}

const RESIGN = 'make and sign the role again with gantry';

export const portabilityRules: ReadonlyMap<number, LintRule> = new Map([
  rule(
    1,
    'signatures over the canonical form of exactly what is published',
    'everybody',
    'sign the role again, and publish the bytes that were signed',
  ),
  rule(2, 'dates as `YYYY-MM-DDTHH:MM:SSZ`, up to the year 9000', 'tough, python-tuf', RESIGN),
  rule(3, '`spec_version` of three numbers, the first 1; a warning when it is not `1.0.0`', 'tuf-js, python-tuf; tuftool', RESIGN),
  rule(
    4,
    'versions from 1 to 2^53-1; roots one after the other',
    'everybody',
    'publish the missing root, or sign one with the next number',
  ),
  rule(
    5,
    '`consistent_snapshot: true`, exactly the four top-level roles, no mirrors',
    'tough, go-tuf, python-tuf',
    'sign a new root without what is too much',
  ),
  rule(
    6,
    "ed25519, ECDSA P-256, RSA of 2048 to 8192 bits, nothing else in `keys`; warnings for extra members and for Gantry's example keys",
    'tough',
    'sign a new root with a key of one of these kinds: gantry key generate NAME',
  ),
  rule(7, 'key ids that are the digest of the key', 'tough', 'sign a new root with the key under its own id'),
  rule(
    8,
    "lowercase hexadecimal signatures (ed25519: 64 bytes, ECDSA: DER, RSA: PSS with salt length 32), one for each key, from listed keys only, as many as the threshold needs; a new root has both its own and its predecessor's",
    'go-tuf, python-tuf, tough',
    'sign the role again with the keys that the root lists',
  ),
  rule(
    9,
    'distinct key ids, all of them in `keys`, no key under two ids, a threshold that can be met',
    'go-tuf, tuf-js, python-tuf',
    'sign a new root whose roles list each key once',
  ),
  rule(10, '`sha256` and no other digest', 'tough, go-tuf', RESIGN),
  rule(
    11,
    'version, length and digest for each file named; `timestamp` names `snapshot.json` alone; `snapshot` names `targets.json` and every delegated role; what is stated is what the files are',
    'tough, python-tuf; everybody when a file differs',
    'publish the files that were signed, or sign the parent again',
  ),
  rule(12, '`custom` is an object with members, without floats and nulls', 'tough', 'leave `custom` out, or give numbers as whole numbers'),
  rule(13, 'target names of `A-Z a-z 0-9 . _ - +` and `/`', 'each client escapes and resolves others differently', 'rename the target'),
  rule(
    14,
    "delegations without unknown members, names that start with a letter and are no top-level role's, one parent, targets within the delegated paths; a warning for hash prefixes",
    'tough, tuf-js; go-tuf',
    'sign the delegating role again without what is said',
  ),
  rule(15, 'path patterns of literals, `*` and `?`', 'each client has its own pattern language', 'write the pattern with * and ? only'),
  rule(16, 'every root since version 1', 'a host that starts from an old one', 'publish the missing roots again'),
  rule(
    18,
    'text and member names in Unicode form NFC; no blank, `!`, quote, control or astral character in member names; whole numbers up to 2^53-1, not written as `1.0`; at most 100 levels',
    'tough, go-tuf, python-tuf',
    'rename the member, or write the value in that form',
  ),
  rule(
    19,
    "files below the clients' limits: root 512,000 bytes, timestamp 16,384, snapshot 1 MiB, delegated roles 10 MiB, and targets 5,000,000 where the snapshot gives no length; at most 256 roots",
    'python-tuf, tuf-js, go-tuf, tough',
    'remove what is not needed any more, or split the role',
  ),
]);

/** @throws RangeError for a number that no rule has */
export function portabilityRule(number: number): LintRule {
  const found = portabilityRules.get(number);
  if (found === undefined) throw new RangeError(`there is no rule ${number}`);
  return found;
}
