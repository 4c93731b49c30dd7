/**
 * The one error class of the library.
 *
 * Rules:
 * - a code is public API: it is never renamed and never reused with another meaning;
 * - a message says "Cannot WHAT: what is; expected what should be", with both values;
 * - text that came from outside goes through `quote`, secrets never appear;
 * - wrong arguments of a caller are `TypeError` or `RangeError`, not this class.
 */

/** What each code carries, for programs that want more than the message. */
export interface ErrorDetails {
  // files: the local machine
  'files/exists': { readonly path: string };
  'files/missing': { readonly path: string };
  'files/not-writable': { readonly path: string };
  'files/not-readable': { readonly path: string };
  'files/disk-full': { readonly path: string };
  'files/exposed': { readonly path: string; readonly mode: string };
  'files/locked': { readonly path: string };
  'files/changed': { readonly path: string };

  // http: the network, before anything is trusted
  'http/unreachable': { readonly url: string };
  'http/certificate': { readonly url: string; readonly problem: string };
  'http/status': { readonly url: string; readonly status: number; readonly retryAfterMs?: number };
  'http/missing': { readonly url: string; readonly status: number };
  'http/too-long': { readonly url: string; readonly maxBytes: number };
  'http/too-short': { readonly url: string; readonly expectedBytes: number; readonly receivedBytes: number };
  'http/stalled': { readonly url: string; readonly idleMs: number };
  'http/interrupted': { readonly url: string; readonly receivedBytes: number };
  'http/redirected': { readonly url: string; readonly location: string };
  'http/bad-url': { readonly url: string };
  'http/proxy': { readonly url: string; readonly proxy: string; readonly status?: number };
  'http/range': { readonly url: string; readonly asked: string; readonly found: string };
  'http/changed': { readonly url: string; readonly expected: string; readonly found?: string };
  'http/bad-setting': { readonly setting: string };
  'http/encoded': { readonly url: string; readonly encoding: string };

  // tuf: metadata
  'tuf/not-json': { readonly what: string };
  'tuf/malformed': { readonly what: string; readonly at: string };
  'tuf/key-unsupported': { readonly keytype: string; readonly scheme: string };
  'tuf/key-id-mismatch': { readonly stated: string; readonly computed: string };
  'tuf/threshold': {
    readonly role: string;
    readonly version: number;
    readonly valid: readonly string[];
    readonly threshold: number;
  };
  'tuf/not-portable': { readonly findings: readonly LintFinding[] };
  'tuf/bad-target-path': { readonly path: string };

  // keys
  'keys/missing': { readonly name: string; readonly path: string };
  'keys/exists': { readonly name: string; readonly path: string };
  'keys/bad-name': { readonly name: string };
  'keys/unreadable': { readonly path: string };
  'keys/unsupported': { readonly path: string; readonly found: string };
  'keys/passphrase-needed': { readonly path: string };
  'keys/passphrase-wrong': { readonly path: string };
  'keys/pin-needed': { readonly path: string };
  'keys/bad-reference': { readonly reference: string };
  'keys/signer-failed': { readonly name: string; readonly reason: string };
  'keys/credentials': { readonly name: string };
  'keys/denied': { readonly name: string; readonly action: string };
  'keys/no-answer': { readonly name: string; readonly action: string };
  'keys/mismatch': { readonly name: string; readonly expected: string; readonly found: string };
  'keys/bad-signature': { readonly keyId: string };
  /** The package that speaks to tokens is not there. */
  'keys/token-support': { readonly package: string };
  /** `path`: absent when none was named and none found. */
  'keys/token-library': { readonly path?: string };
  'keys/token-missing': { readonly reference: string; readonly found: readonly string[] };
  'keys/token-key-missing': { readonly reference: string; readonly token: string; readonly found: readonly string[] };
  'keys/token-ambiguous': { readonly reference: string; readonly found: readonly string[] };
  'keys/token-exists': { readonly token: string; readonly label: string };
  'keys/token-pin-wrong': { readonly token: string };
  'keys/token-last-try': { readonly token: string };
  'keys/token-locked': { readonly token: string };
  'keys/token-not-permitted': { readonly token: string };
  'keys/token-removed': { readonly token: string };
  'keys/token-unsupported': { readonly reference: string; readonly found: string };
  /** `result`: `CKR_…`, as PKCS#11 names it. */
  'keys/token-failed': { readonly token: string; readonly result: string };
  'keys/example': { readonly keyId: string };

  // release
  'release/bad-version': { readonly version: string };
  'release/duplicate': { readonly version: string; readonly variant: string; readonly arch: string };
  'release/not-newer': { readonly version: string; readonly newest: string };
  'release/bad-manifest': { readonly at: string };
  'release/bad-name': { readonly what: string; readonly name: string };
  'release/bad-custom': { readonly at: string };
  'release/bad-duration': { readonly text: string };
  'release/bad-time': { readonly text: string };
  'release/bad-toml': { readonly path: string; readonly at: string };
  'release/bad-policy': { readonly path: string; readonly at: string };
  'release/bad-seed': { readonly seed: number };
  'release/unknown': { readonly version: string; readonly known: readonly string[] };
  'release/withdrawn': { readonly version: string };
  'release/no-path': { readonly from: string; readonly to: string; readonly stuck: string };
  'release/lint': { readonly findings: readonly LintFinding[] };
  'release/bad-release-file': { readonly path: string; readonly at: string };
  'release/bad-recall': { readonly version: string; readonly to: string };
  'release/stranded': { readonly version: string; readonly to: string; readonly why: 'waves' | 'migrations' | 'targets' };
  'release/bad-waves': { readonly bound: number };
  'release/rollout': {
    readonly variant: string;
    readonly arch: string;
    readonly version: string;
    /** `done-by-then`: not yet, but at the moment for which the edit is computed. */
    readonly state: 'paused' | 'not-paused' | 'done' | 'done-by-then';
  };

  // image
  'image/bad-input': { readonly path: string };
  'image/empty': { readonly what: string };
  'image/bad-frame': { readonly frame: number };
  'image/bad-frame-table': { readonly at: string };
  /** `at`: what of the table or of the partitions. */
  'image/bad-gpt': { readonly at: string };
  'image/bad-lz4': { readonly offset: number };
  'image/bad-partitions': { readonly at: string };
  'image/bad-zstd': { readonly offset: number };
  'image/too-long': { readonly maxBytes: number };
  'image/not-blocks': { readonly blockBytes: number };
  'image/worker-died': { readonly why: string };
  'image/wrong-length': { readonly expectedBytes: number; readonly receivedBytes: number };
  'image/bad-verity': { readonly at: string };
  'image/verity-mismatch': {
    /** What does not fit: to what was asked for, to the image, to the level above, to its digest. */
    readonly part: 'root-hash' | 'superblock' | 'tree' | 'data';
    readonly level?: number;
    /** The first one: of the level, or of the data. */
    readonly block?: number;
    /** Blocks of data that do not fit, where all of them were looked for. */
    readonly wrong?: number;
  };
  'image/root-hash': { readonly path: string; readonly expected: string; readonly found: readonly string[] };

  // repository
  'repository/root-chain': { readonly version: number };
  'repository/expired': { readonly role: string; readonly expires: string };
  'repository/incomplete': { readonly missing: readonly MissingSignatures[] };
  'repository/rollback': { readonly role: string; readonly trusted: number; readonly offered: number };
  'repository/mismatch': { readonly role: string };
  'repository/root-transition': { readonly version: number; readonly role: string };
  'repository/bad-threshold': { readonly role: string; readonly threshold: number; readonly keys: number };
  'repository/bad-root-edit': { readonly role: string };
  'repository/bad-policy': { readonly member: string };
  'repository/bad-draft': { readonly at: string };
  'repository/other-draft': { readonly what: string };
  'repository/unexplained': { readonly role: string; readonly members: readonly string[] };
  'repository/bad-change': { readonly path: string };
  'repository/moved-on': { readonly base: string; readonly live: string };

  // store
  'store/missing': { readonly path: string };
  'store/conflict': { readonly path: string; readonly expected: string; readonly found: string };
  'store/denied': { readonly path: string };
  'store/failed': { readonly path: string; readonly call: string };
  'store/source-changed': { readonly path: string };
  'store/bad-location': { readonly location: string };
  'store/not-s3': { readonly location: string };
  'store/no-bucket': { readonly location: string };
  'store/region': { readonly location: string };
  'store/clock': { readonly path: string };
  'store/credentials': { readonly path: string };
  'store/not-atomic': { readonly location: string };
  'store/bad-path': { readonly path: string };
  'store/too-long': { readonly path: string; readonly maxBytes: number };

  // workspace
  'workspace/not-one': { readonly path: string };
  'workspace/exists': { readonly path: string };
  'workspace/bad-store': { readonly store: string };
  'workspace/bad-config': { readonly path: string; readonly at: string };
  'workspace/no-repository': { readonly variant: string; readonly arch: string };
  'workspace/no-policy': { readonly name: string; readonly known: readonly string[] };
  'workspace/no-root': { readonly path: string };
  'workspace/draft-waits': { readonly path: string };
  'workspace/object-missing': { readonly path: string; readonly sha256: string };

  // publish
  'publish/conflict': {
    readonly path: string;
    readonly expected: string;
    readonly found: string;
    /** What is live instead, where that is known. */
    readonly published?: {
      readonly timestamp: number;
      readonly at?: string;
      readonly signedBy: readonly string[];
      readonly releases: readonly string[];
    };
  };
  'publish/wrong-url': { readonly url: string };
  'publish/not-visible': { readonly repository: string; readonly timestamp: number; readonly url: string };
  'publish/bad-plan': { readonly path: string; readonly at: string };
  'publish/rolled-back': { readonly role: string; readonly published: number; readonly live: number };
  'publish/too-late': { readonly repository: string; readonly notAfter: string };
  /** What is live has expired, so that nobody vouches for it any more. */
  'publish/expired': { readonly repository: string; readonly roles: readonly string[] };
  'publish/nothing': { readonly repository: string };
  'publish/no-manifest': { readonly path: string };
  'publish/target-differs': { readonly path: string };
  'publish/target-lost': { readonly path: string };
  'publish/foreign-objects': { readonly location: string; readonly path: string };
  'publish/being-removed': { readonly path: string; readonly since: string };
  'publish/unverified': { readonly repository: string };

  // client: what a host refuses
  'client/untrusted': { readonly role: string };
  'client/expired': { readonly role: string };
  'client/rollback': { readonly role: string };
  'client/target-unknown': { readonly path: string };
  'client/target-altered': { readonly path: string; readonly expected: string; readonly found: string };
  'client/no-manifest': { readonly url: string };
  'client/bad-root': { readonly path: string };
  /** `at`: a byte of the file, or the name of an entry. */
  'client/bad-bundle': { readonly path: string; readonly at: string };

  // server
  'server/port-in-use': { readonly host: string; readonly port: number };
  'server/not-a-store': { readonly path: string };

  // the command line
  'usage/confirm': { readonly question: string };
  'usage/option': { readonly option: string };
  'usage/arguments': { readonly command: string; readonly suggestions: readonly string[] };

  // anywhere: the caller's AbortSignal fired
  aborted: Record<string, never>;
}

/** What may be thrown, by its stable code; programs decide by the code, and people read the message. */
export type ErrorCode = keyof ErrorDetails;

/** One breach of a rule of the lint. */
export interface LintFinding {
  /** The stable name of the rule: `tuf-12`, `migration-gap`. */
  readonly rule: string;
  readonly severity: 'error' | 'warning';
  /** Where: a file and a path of members, for example `targets.targets["a b"].length`. */
  readonly at: string;
  /** What is, what should be, and who would stumble. */
  readonly message: string;
  /** What to do about it. */
  readonly fix: string;
}

/** What one role still lacks before its threshold is met. */
export interface MissingSignatures {
  readonly role: string;
  readonly version: number;
  readonly have: number;
  readonly need: number;
  /** Key ids that may still sign. */
  readonly candidates: readonly string[];
}

/** An error with a stable code and details that are typed by it. */
export class GantryError<C extends ErrorCode = ErrorCode> extends Error {
  readonly code: C;
  readonly details: ErrorDetails[C];

  constructor(code: C, message: string, details: ErrorDetails[C], options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = 'GantryError';
    this.code = code;
    this.details = details;
  }
}

/** True for a `GantryError`, or one with exactly this code. */
export function isGantryError<C extends ErrorCode>(error: unknown, code?: C): error is GantryError<C> {
  return error instanceof GantryError && (code === undefined || error.code === code);
}

/** What a fired signal means in our codes; its reason stays the cause, or is the error when it is one of ours. */
export function abortedBy(signal: AbortSignal): GantryError {
  const reason: unknown = signal.reason;
  return isGantryError(reason) ? reason : new GantryError('aborted', 'Cannot go on: it was cancelled', {}, { cause: reason });
}

/** @throws GantryError `aborted` when the signal has fired */
export function refuseAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortedBy(signal);
}

/** Text from outside that stands in a sentence as it is when it is plain, and quoted otherwise. */
export function named(text: string): string {
  return /^[A-Za-z0-9._+-]{1,120}$/u.test(text) ? text : quote(text);
}

const QUOTED_LENGTH = 120;

/** Text from outside, safe to print: quoted, control characters escaped, cut at 120 characters. */
export function quote(text: string): string {
  const cut = text.length > QUOTED_LENGTH ? `${text.slice(0, QUOTED_LENGTH)}…` : text;
  return JSON.stringify(cut).replace(
    /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/gu,
    (character) => `\\u${character.codePointAt(0)?.toString(16).padStart(4, '0') ?? ''}`,
  );
}
