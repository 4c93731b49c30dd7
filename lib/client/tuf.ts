/**
 * tuf-js with its insides laid out for a library: the one place that reaches into it.
 *
 * Every decision stays its own (design D1). What is put in the place of private parts of its `Updater` 6.0.2:
 * - `loadLocalMetadata` and `persistMetadata`: it would read and write files in place, unsynced and one name for all of them
 *   unescaped when read; ours ask a `RoleStorage`, in memory, which keeps exactly what was accepted;
 * - `trustedSet`: its methods run with models that are linear (`linear-models.ts`), and its clock is given;
 * - `verifyDelegate` of a role: a proof that held once for the same two objects is not made again. It makes one for each look-up.
 *
 * The version of tuf-js is pinned, and a test holds these parts against it.
 */
import type { Metadata, Root, Snapshot, TargetFile, Targets, Timestamp } from '@tufjs/models';
import { Updater, type Fetcher } from 'tuf-js';
import { TrustedMetadataStore } from 'tuf-js/dist/store.js';
import { withLinearModels } from './linear-models.ts';

/** What tuf-js reads at its start, and what it has accepted. Called synchronously. */
export interface RoleStorage {
  /** By role name, as it is signed: any text. */
  read(role: string): Uint8Array | undefined;
  /** May throw to refuse it after all. */
  accept(role: string, bytes: Uint8Array): void;
}

export interface TufOptions {
  /** Ends without a slash. */
  readonly metadataUrl: string;
  readonly storage: RoleStorage;
  readonly fetcher: Fetcher;
  readonly limits: NonNullable<ConstructorParameters<typeof Updater>[0]['config']>;
  /** The time that everything is compared with. */
  readonly now: Date;
  /** Told of a delegated role when it was accepted, from the storage or anew. */
  readonly onDelegated?: (role: string, signed: { readonly version: number; readonly expires: string }) => void;
}

/** The top roles that were accepted. */
export interface AcceptedRoles {
  readonly root: Root;
  readonly timestamp: Timestamp;
  readonly snapshot: Snapshot;
  readonly targets: Targets;
}

export interface Tuf {
  /** @throws whatever the storage and the fetcher throw, and the errors of tuf-js */
  refresh(): Promise<void>;
  /** Undefined before a refresh has succeeded. */
  accepted(): AcceptedRoles | undefined;
  /** The first role in pre-order that may say so and does. */
  find(path: string): Promise<TargetFile | undefined>;
  /** A role that is delegated by `parent`, which has been loaded. */
  load(role: string, parent: string): Promise<Targets>;
}

/** The private half of `Updater`. */
interface Inside extends Pick<Updater, 'refresh' | 'getTargetInfo'> {
  readonly trustedSet: TrustedMetadataStore;
  loadTargets(role: string, parent: string): Promise<Metadata<Targets> | undefined>;
}

// Private is a word of TypeScript's only; a test looks whether these members are there.
const OpenUpdater = Updater as unknown as new (options: ConstructorParameters<typeof Updater>[0]) => Inside;

/** @throws Error of tuf-js when the root in the storage is not signed by itself */
export function openTuf({ metadataUrl, storage, fetcher, limits, now, onDelegated = () => undefined }: TufOptions): Tuf {
  class StoredUpdater extends OpenUpdater {
    /** Called by the constructor too. */
    protected loadLocalMetadata(role: string): Buffer {
      const bytes = storage.read(role);
      if (bytes === undefined) throw new RangeError(`nothing is stored for ${role}`);
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }

    protected persistMetadata(role: string, bytes: Buffer): void {
      storage.accept(role, bytes);
    }
  }
  const options = { metadataDir: '', metadataBaseUrl: metadataUrl, fetcher, config: limits };
  const updater = withLinearModels(() => new StoredUpdater(options));
  const { trustedSet } = updater;
  Reflect.set(trustedSet, 'referenceTime', now);
  makeLinear(trustedSet, onDelegated);
  return {
    refresh: async () => updater.refresh(),
    accepted() {
      const { root, timestamp, snapshot, targets } = trustedSet;
      if (timestamp === undefined || snapshot === undefined || targets === undefined) return undefined;
      return { root: root.signed, timestamp: timestamp.signed, snapshot: snapshot.signed, targets: targets.signed };
    },
    find: async (path) => updater.getTargetInfo(path),
    async load(role, parent) {
      const loaded = await updater.loadTargets(role, parent);
      if (loaded === undefined) throw new RangeError(`${role} was not loaded`);
      return loaded.signed;
    },
  };
}

/** @throws Error of tuf-js when this is not a root that is signed by itself */
export function readTrustAnchor(bytes: Uint8Array): Root {
  return withLinearModels(() => new TrustedMetadataStore(Buffer.from(bytes)).root.signed);
}

const UPDATES = ['updateRoot', 'updateTimestamp', 'updateSnapshot', 'updateDelegatedTargets'] as const;

function makeLinear(store: TrustedMetadataStore, onDelegated: NonNullable<TufOptions['onDelegated']>): void {
  rememberProofs(store.root);
  for (const method of UPDATES) {
    const original: unknown = store[method];
    if (typeof original !== 'function') throw new TypeError(`tuf-js has no ${method}`);
    const linear = (...args: readonly unknown[]): unknown => {
      const result: unknown = withLinearModels(() => Reflect.apply(original, store, args) as unknown);
      // A delegated role, and `targets` is one of root's, is not returned.
      const role = typeof args[1] === 'string' ? store.getRole(args[1]) : result;
      if (!isMetadata(role)) return result;
      rememberProofs(role);
      if (typeof args[1] === 'string' && args[1] !== 'targets') onDelegated(args[1], role.signed);
      return result;
    };
    Object.defineProperty(store, method, { value: linear });
  }
}

function isMetadata(value: unknown): value is Metadata<Targets> {
  return typeof value === 'object' && value !== null && 'verifyDelegate' in value;
}

/** What tuf-js has once accepted it never changes. */
function rememberProofs(delegator: Metadata<Root | Targets | Snapshot | Timestamp>): void {
  const proven = new Map<string, unknown>();
  const original = delegator.verifyDelegate.bind(delegator);
  const verifyDelegate: typeof original = (role, metadata) => {
    if (proven.get(role) === metadata) return;
    original(role, metadata);
    proven.set(role, metadata);
  };
  Object.defineProperty(delegator, 'verifyDelegate', { value: verifyDelegate });
}
