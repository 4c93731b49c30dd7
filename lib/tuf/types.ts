/**
 * The shapes of TUF metadata (specification 1.0.34 §4), as plain JSON objects.
 *
 * Rules:
 * - a role is exactly the object that is published: unknown members stay in it, so that a role that
 *   was read canonicalises to the bytes that were signed;
 * - nothing here is a class: 10,000 targets are one `JSON.parse` away.
 */

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** 64 lowercase hexadecimal digits. */
export type Sha256Hex = Brand<string, 'Sha256Hex'>;
/** 128 lowercase hexadecimal digits: other tools may sign it. */
export type Sha512Hex = Brand<string, 'Sha512Hex'>;
/** SHA-256 of the canonical form of a public key, 64 lowercase hexadecimal digits. */
export type KeyId = Brand<string, 'KeyId'>;
/** `YYYY-MM-DDTHH:MM:SSZ` when we write it; when read, the exact text that was signed. */
export type TufDate = Brand<string, 'TufDate'>;

/** The four roles that every repository has. */
export type TopRoleName = 'root' | 'targets' | 'snapshot' | 'timestamp';

/** Any value of JSON. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
/** An object of JSON. */
export type JsonObject = { readonly [member: string]: JsonValue };

/** A public key as it stands in `keys`. */
export interface PublicKey {
  readonly keytype: 'ed25519' | 'ecdsa' | 'rsa';
  readonly scheme: 'ed25519' | 'ecdsa-sha2-nistp256' | 'rsassa-pss-sha256';
  /** ed25519: 64 hex digits; the others: SPKI PEM. */
  readonly keyval: { readonly public: string };
}

/** Who may sign a role, and how many must. */
export interface RoleKeys {
  readonly keyids: readonly KeyId[];
  readonly threshold: number;
}

interface Common {
  readonly spec_version: string;
  readonly version: number;
  readonly expires: TufDate;
}

export interface Root extends Common {
  readonly _type: 'root';
  readonly consistent_snapshot: boolean;
  readonly keys: Readonly<Record<KeyId, PublicKey>>;
  readonly roles: Readonly<Record<TopRoleName, RoleKeys>>;
}

/** How a parent names a child file: version, length in bytes and digest. */
export interface MetaFile {
  readonly version: number;
  readonly length?: number;
  readonly hashes?: { readonly sha256: Sha256Hex };
}

export interface Timestamp extends Common {
  readonly _type: 'timestamp';
  readonly meta: { readonly 'snapshot.json': MetaFile };
}

export interface Snapshot extends Common {
  readonly _type: 'snapshot';
  readonly meta: Readonly<Record<string, MetaFile>>;
}

export interface TargetFile {
  /** Bytes. */
  readonly length: number;
  readonly hashes: { readonly sha256: Sha256Hex };
  readonly custom?: JsonObject;
}

export interface DelegatedRole extends RoleKeys {
  readonly name: string;
  readonly terminating: boolean;
  readonly paths?: readonly string[];
  readonly path_hash_prefixes?: readonly string[];
}

export interface Delegations {
  readonly keys: Readonly<Record<KeyId, PublicKey>>;
  readonly roles: readonly DelegatedRole[];
}

export interface Targets extends Common {
  readonly _type: 'targets';
  /** By target path. */
  readonly targets: Readonly<Record<string, TargetFile>>;
  readonly delegations?: Delegations;
}

export interface RoleByName {
  root: Root;
  targets: Targets;
  snapshot: Snapshot;
  timestamp: Timestamp;
}
export type Role = RoleByName[TopRoleName];

export interface Signature {
  readonly keyid: KeyId;
  /** Hexadecimal: ed25519 raw, ECDSA DER, RSA-PSS with salt length 32. */
  readonly sig: string;
}

/** A metadata file: a role and the signatures over its canonical form. */
export interface Envelope<R extends Role = Role> {
  readonly signed: R;
  readonly signatures: readonly Signature[];
}

/** What is signed, frozen together with what was measured on its file. */
export type SignedRole<R extends Role = Role> = Readonly<{
  role: R;
  signatures: readonly Signature[];
  /** The file as it is published, byte for byte. */
  bytes: Uint8Array;
  lengthBytes: number;
  sha256: Sha256Hex;
}>;
