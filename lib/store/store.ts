/**
 * Where publications live, behind one interface: a directory today, an object store tomorrow.
 *
 * Rules:
 * - every write states what it expects to find; there is no unconditional write;
 * - a version token is opaque: an ETag, an inode stamp; compare, never parse;
 * - *missing* and *denied* are different answers, and neither is "empty";
 * - nothing half-written is ever visible under its name.
 */

declare const brand: unique symbol;
/** A name inside a store: segments of `A-Za-z0-9._+-` joined by `/`, none of them starting with a dot. */
export type StorePath = string & { readonly [brand]: 'StorePath' };
export type StoreVersion = string & { readonly [brand]: 'StoreVersion' };

export type Expect = 'absent' | { readonly version: StoreVersion };

/** How long caches may keep an object. */
export type CacheClass = 'immutable' | 'revalidate';

/** Bytes that can be read more than once, with what they must turn out to be. */
export interface ByteSource {
  readonly lengthBytes: number;
  /** 64 lowercase hexadecimal digits. */
  readonly sha256: string;
  /** Each chunk is as it is until the next one is asked for. */
  open(): AsyncIterable<Uint8Array>;
}

export interface ObjectInfo {
  readonly path: StorePath;
  readonly lengthBytes: number;
  readonly version: StoreVersion;
  /** When the store keeps it beside the object. */
  readonly sha256?: string;
  /** When it was written, by the store's clock. */
  readonly modified?: Date;
}

/** A write that was begun and has not ended: what it sent is kept, and nobody sees it. */
export interface UnfinishedWrite {
  readonly path: StorePath;
  /** The store's own name of it. */
  readonly id: string;
  readonly begun: Date;
}

export interface StoredObject {
  readonly info: ObjectInfo;
  /** Consumed once. */
  readonly body: AsyncIterable<Uint8Array>;
}

export interface ReadOptions {
  readonly signal?: AbortSignal;
}

export interface WriteOptions {
  readonly expect: Expect;
  readonly cacheClass: CacheClass;
  readonly contentType: string;
  readonly signal?: AbortSignal;
  /** Bytes written so far, of this object. */
  readonly onProgress?: (bytes: number) => void;
}

export interface Store {
  /** What a person calls it: a directory, `s3://bucket/prefix`. */
  readonly description: string;
  /**
   * Who says that the conditions of writes hold: its vendor, or nobody yet. Absent: this code keeps them itself.
   * What is not kept by this code is probed before anything is published (design D6).
   */
  readonly conditions?: 'documented' | 'unknown';
  /** @throws GantryError `store/missing`, `store/denied`, `store/failed` */
  read(path: StorePath, options?: ReadOptions): Promise<StoredObject>;
  /** Undefined when it is missing; @throws GantryError `store/denied`, `store/failed` */
  head(path: StorePath, options?: ReadOptions): Promise<ObjectInfo | undefined>;
  /**
   * What the source itself throws comes out as it is.
   *
   * @throws GantryError `store/conflict` (nothing was written), `store/source-changed`, `store/denied`, `store/failed`,
   * `files/disk-full` and `files/locked` where the store is on this machine
   */
  write(path: StorePath, body: ByteSource, options: WriteOptions & { readonly expect: Expect }): Promise<StoreVersion>;
  /** Every object whose path starts with this text, in any order. */
  list(prefix: string, options?: ReadOptions): AsyncIterable<ObjectInfo>;
  remove(path: StorePath): Promise<void>;
  /** For a store that keeps what unfinished writes have sent until somebody removes it; others tidy up by themselves. */
  readonly unfinished?: {
    list(options?: ReadOptions): AsyncIterable<UnfinishedWrite>;
    /** What has ended meanwhile is no error. */
    remove(write: UnfinishedWrite): Promise<void>;
  };
}
