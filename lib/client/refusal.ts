/**
 * Why tuf-js refused, in our codes and words. It decides; this only looks at the file that it refused.
 */
import { GantryError, isGantryError, named, quote } from '../errors.ts';
import { dateOf } from '../tuf/date.ts';
import { sha256Hex } from '../tuf/hash.ts';
import { parseEnvelope, readSignedRole } from '../tuf/role.ts';
import { verifyThreshold } from '../tuf/signature.ts';
import type { Envelope, MetaFile, Role, Root, TopRoleName } from '../tuf/types.ts';
import type { FetchedFile } from './metadata-fetcher.ts';
import { isTopRole, type RoleFiles } from './role-files.ts';

export interface RefusalContext {
  /** What lay in the state directory before the refresh. */
  readonly before: RoleFiles;
  /** Trusted when it was refused. */
  readonly accepted: RoleFiles;
  /** What expiry was compared with. */
  readonly judged: Date;
  /** Later than that when media that expired are accepted. */
  readonly present: Date;
}

const PRINTABLE = /^[\x20-\x7e]*$/u;
const MESSAGE_LENGTH = 300;
/** tuf-js puts this before the text of another error. */
const WRAPPED = /^Unable to load \w+(?: metadata)? error (?:\w+: )?/u;

/** The error that a caller gets; `error` is what tuf-js threw, and stays its cause. */
export function explainRefusal(error: unknown, received: FetchedFile, context: RefusalContext): unknown {
  if (received.error !== undefined) return withRole(received);
  if (error instanceof GantryError) return error;
  const role = roleOf(received.file);
  return (
    (received.bytes === undefined ? undefined : explainFile(role, received.bytes, error, context)) ??
    explainExpiry(context, error) ??
    untrusted(role, sayable(error), error)
  );
}

/** What tuf-js says may quote what was signed. */
function sayable(error: unknown): string {
  const text = (error instanceof Error ? error.message : String(error)).replace(WRAPPED, '');
  return PRINTABLE.test(text) ? text.slice(0, MESSAGE_LENGTH) : quote(text);
}

function withRole({ file, error }: FetchedFile): unknown {
  if (!isGantryError(error, 'http/missing')) return error;
  return new GantryError(
    error.code,
    `Cannot refresh: ${quote(file ?? '')} is missing from the server, and it is needed (${error.details.status})`,
    error.details,
    {
      cause: error,
    },
  );
}

/** Any text may be the name of a delegated role. */
function roleOf(file = 'timestamp.json'): string {
  const name = /^(?:[0-9]+\.)?(.*)\.json$/u.exec(file)?.[1] ?? file;
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

function explainFile(role: string, bytes: Uint8Array, cause: unknown, context: RefusalContext): GantryError | undefined {
  let envelope: Envelope;
  try {
    envelope = parseEnvelope(bytes, isTopRole(role) ? role : 'targets');
    if (isTopRole(role)) verifyUnder(envelope, role, context.accepted.root);
  } catch (reason) {
    if (!isGantryError(reason)) throw reason;
    return untrusted(role, reason.message, cause, reason);
  }
  if (!isTopRole(role)) return explainDate(role, envelope, cause, context);
  try {
    return (
      explainRollback(role, envelope, cause, context) ??
      explainMismatch(role, envelope, bytes, cause, context.accepted) ??
      explainDate(role, envelope, cause, context)
    );
  } catch (error) {
    // tuf-js has accepted a parent that our reader cannot read.
    if (!isGantryError(error)) throw error;
    return undefined;
  }
}

function verifyUnder(envelope: Envelope, role: TopRoleName, rootBytes: Uint8Array | undefined): void {
  if (rootBytes === undefined) return;
  const root: Root = readSignedRole(rootBytes, 'root').role;
  verifyThreshold(envelope, root.keys, root.roles[role], role);
  // A root must also be signed by the keys that it brings.
  if (envelope.signed._type === 'root') verifyThreshold(envelope, envelope.signed.keys, envelope.signed.roles.root, role);
}

function explainRollback(role: TopRoleName, { signed }: Envelope, cause: unknown, context: RefusalContext): GantryError | undefined {
  const trusted = trustedBefore(role, context);
  if (trusted === undefined) return undefined;
  const rollback = (what: string, offered: number, known: number): GantryError =>
    new GantryError(
      'client/rollback',
      `Cannot accept ${what} version ${offered}: version ${known} is already trusted`,
      { role },
      { cause },
    );
  if (signed.version < trusted.version) return rollback(role, signed.version, trusted.version);
  if (signed._type === 'timestamp' && trusted._type === 'timestamp') {
    const [offered, known] = [signed.meta['snapshot.json'].version, trusted.meta['snapshot.json'].version];
    if (offered < known) return rollback(`a timestamp that names snapshot`, offered, known);
  }
  if (signed._type === 'snapshot' && trusted._type === 'snapshot') {
    for (const [file, { version: known }] of Object.entries(trusted.meta)) {
      const offered = signed.meta[file]?.version;
      if (offered !== undefined && offered < known) return rollback(`a snapshot that names ${named(file)}`, offered, known);
    }
  }
  return undefined;
}

/** A stored file counts for tuf-js only when the root of now still vouches for it. */
function trustedBefore(role: TopRoleName, { before, accepted }: RefusalContext): Role | undefined {
  const bytes = before[role];
  try {
    const envelope = bytes === undefined ? undefined : parseEnvelope(bytes, role);
    if (envelope !== undefined) verifyUnder(envelope, role, accepted.root);
    return envelope?.signed;
  } catch (error) {
    if (!isGantryError(error)) throw error;
    return undefined;
  }
}

/** A file that is signed, and is not the one that its parent names: pieces of different publications. */
function explainMismatch(
  role: TopRoleName,
  { signed }: Envelope,
  bytes: Uint8Array,
  cause: unknown,
  accepted: RoleFiles,
): GantryError | undefined {
  const refused = (problem: string): GantryError =>
    new GantryError('client/untrusted', `Cannot accept ${role} version ${signed.version}: ${problem}`, { role }, { cause });
  if (role === 'root') {
    const next = accepted.root === undefined ? 1 : readSignedRole(accepted.root, 'root').role.version + 1;
    return signed.version === next ? undefined : refused(`it was served as ${next}.root.json; expected version ${next}`);
  }
  const expected = namedByParent(role, accepted);
  if (expected === undefined) return undefined;
  const { parent, version, sha256 } = expected;
  if (signed.version !== version) return refused(`${parent} names version ${version}`);
  const found = sha256Hex(bytes);
  return sha256 === undefined || sha256 === found ? undefined : refused(`its SHA-256 is ${found}; ${parent} says ${sha256}`);
}

interface Named {
  /** Who says so, in words. */
  readonly parent: string;
  readonly version: number;
  readonly sha256?: string;
}

function namedByParent(role: TopRoleName, { timestamp, snapshot }: RoleFiles): Named | undefined {
  const entry = (parent: string, meta: MetaFile | undefined): Named | undefined =>
    meta === undefined
      ? undefined
      : { parent, version: meta.version, ...(meta.hashes === undefined ? {} : { sha256: meta.hashes.sha256 }) };
  if (role === 'snapshot' && timestamp !== undefined) {
    const { version, meta } = readSignedRole(timestamp, 'timestamp').role;
    return entry(`timestamp version ${version}`, meta['snapshot.json']);
  }
  if (role === 'targets' && snapshot !== undefined) {
    const { version, meta } = readSignedRole(snapshot, 'snapshot').role;
    return entry(`snapshot version ${version}`, meta['targets.json']);
  }
  return undefined;
}

/** A root that expired is only noticed at its end, when no file is at fault. */
function explainExpiry(context: RefusalContext, cause: unknown): GantryError | undefined {
  for (const role of ['root', 'timestamp', 'snapshot', 'targets'] as const) {
    const bytes = context.accepted[role];
    const expired = bytes === undefined ? undefined : explainExpiredFile(role, bytes, cause, context);
    if (expired !== undefined) return expired;
  }
  return undefined;
}

function explainExpiredFile(role: TopRoleName, bytes: Uint8Array, cause: unknown, context: RefusalContext): GantryError | undefined {
  try {
    return explainDate(role, parseEnvelope(bytes, role), cause, context);
  } catch (error) {
    if (!isGantryError(error)) throw error;
    return undefined;
  }
}

function explainDate(
  role: string,
  { signed }: Envelope,
  cause: unknown,
  { judged, present }: Pick<RefusalContext, 'judged' | 'present'>,
): GantryError | undefined {
  if (dateOf(signed.expires).getTime() > judged.getTime()) return undefined;
  const [says, then] = [present, judged].map((time) => `${time.toISOString().slice(0, 19)}Z`);
  const accepted = says === then ? '' : `; expected that it was valid at ${then}`;
  return new GantryError(
    'client/expired',
    `Cannot accept ${named(role)} version ${signed.version}: it expired at ${signed.expires}; this machine's clock says ${says}${accepted}`,
    { role },
    { cause },
  );
}

function untrusted(role: string, problem: string, cause: unknown, reason?: GantryError): GantryError {
  const message = reason !== undefined && problem.startsWith('Cannot') ? problem : `Cannot trust the ${named(role)} metadata: ${problem}`;
  return new GantryError(
    'client/untrusted',
    message,
    { role },
    { cause: reason === undefined ? cause : new AggregateError([reason, cause]) },
  );
}
