/**
 * Metadata files: from bytes to typed roles and back.
 *
 * Rules:
 * - reading is strict about shape and tolerant of what it does not know: unknown members stay, since the signature covers them;
 * - writing is one form only: two spaces, one newline at the end, signatures sorted by key id;
 * - what was read keeps its exact bytes, because a parent's digest is over them;
 * - no bytes make it throw anything but a `GantryError`, however long or deep they are.
 */
import { GantryError, quote } from '../errors.ts';
import { parseRole } from './role-shape.ts';
import { parseKeyId } from './key.ts';
import { isNestedDeeper, MAX_DEPTH } from './portable-json.ts';
import { sha256Hex } from './hash.ts';
import type { Envelope, Role, RoleByName, Signature, SignedRole, TopRoleName } from './types.ts';

/** Far above what clients take (rule 19), so that the lint can speak about it; a hostile file ends here. */
const MAX_BYTES: Readonly<Record<TopRoleName, number>> = {
  timestamp: 1 << 20,
  root: 8 << 20,
  snapshot: 16 << 20,
  targets: 64 << 20,
};

/** @throws GantryError `tuf/not-json`, `tuf/malformed` with the path of the member, `tuf/key-unsupported` */
export function parseEnvelope<N extends TopRoleName>(bytes: Uint8Array, name: N): Envelope<RoleByName[N]> {
  if (bytes.length > MAX_BYTES[name]) {
    throw malformed(name, name, `it has ${bytes.length} bytes; expected at most ${MAX_BYTES[name]}`);
  }
  if (isNestedDeeper(bytes, MAX_DEPTH)) throw malformed(name, name, `it is nested deeper than ${MAX_DEPTH} levels`);
  const value = parseJson(bytes, name);
  if (!isObject(value)) throw malformed(name, name, 'it is not an object; expected signed and signatures');
  if (!isObject(value['signed'])) throw malformed(name, `${name}.signed`, 'it is not an object');
  return { signed: parseRole(value['signed'], name), signatures: parseSignatures(value['signatures'], name) };
}

/** A file as it was read, with its exact bytes. @throws GantryError like `parseEnvelope` */
export function readSignedRole<N extends TopRoleName>(bytes: Uint8Array, name: N): SignedRole<RoleByName[N]> {
  const { signed, signatures } = parseEnvelope(bytes, name);
  return { role: signed, signatures, bytes, lengthBytes: bytes.length, sha256: sha256Hex(bytes) };
}

/** The file of an envelope; the order of its signatures makes no difference. */
export function sealEnvelope<R extends Role>(envelope: Envelope<R>): SignedRole<R> {
  const signatures = envelope.signatures.toSorted((a, b) => (a.keyid === b.keyid ? 0 : a.keyid < b.keyid ? -1 : 1));
  const bytes = Buffer.from(`${JSON.stringify({ signatures, signed: envelope.signed }, undefined, 2)}\n`, 'utf8');
  return { role: envelope.signed, signatures, bytes, lengthBytes: bytes.length, sha256: sha256Hex(bytes) };
}

function parseJson(bytes: Uint8Array, name: string): unknown {
  try {
    // A byte order mark stays in the text, where JSON refuses it, as other clients do.
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    const start = Buffer.from(bytes.subarray(0, 40)).toString('latin1');
    throw new GantryError(
      'tuf/not-json',
      `Cannot read ${name} metadata: it is not JSON (it starts with ${quote(start)}); expected signed TUF metadata`,
      { what: name },
      { cause },
    );
  }
}

function parseSignatures(value: unknown, name: string): readonly Signature[] {
  if (!Array.isArray(value)) throw malformed(name, `${name}.signatures`, 'it is not an array');
  const seen = new Set<string>();
  return value.map((item: unknown, index) => {
    const at = `${name}.signatures[${index}]`;
    if (!isObject(item) || typeof item['sig'] !== 'string') throw malformed(name, at, 'it has no sig; expected keyid and sig');
    const keyid = parseKeyId(item['keyid'], `${at}.keyid`);
    if (seen.has(keyid)) throw malformed(name, at, 'its key id is there twice; expected one signature for each key');
    seen.add(keyid);
    return { keyid, sig: item['sig'] };
  });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function malformed(what: string, at: string, problem: string): GantryError {
  return new GantryError('tuf/malformed', `Cannot read ${what} metadata: ${at}: ${problem}`, { what, at });
}
