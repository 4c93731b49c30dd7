/** What the harness says to a publisher in a process of its own, and what it hears. */
import type { FreeVersions } from '../../lib/repository/draft.ts';
import type { S3Credentials } from '../support/s3-server.ts';

/** Which store, in words that another process understands. */
export type StoreSpec =
  | { readonly kind: 'directory'; readonly directory: string; readonly conditions: 'kept' | 'ignored' }
  | {
      readonly kind: 's3';
      readonly endpoint: string;
      readonly region: string;
      readonly credentials: S3Credentials;
      readonly bucket: string;
    };

/** Where publishers wait for one another: before they write anything, or before they replace `timestamp.json`. */
export type Barrier = 'first write' | 'timestamp';

/** Whether a publisher signs again by itself when a number was taken. */
export type Signing = 'at hand' | 'elsewhere';

export type Command =
  | {
      readonly kind: 'enter';
      readonly workspace: string;
      readonly keysDirectory: string;
      readonly store: StoreSpec;
      readonly signing: Signing;
    }
  | { readonly kind: 'draft'; readonly release: string }
  | { readonly kind: 'publish'; readonly barrier: Barrier }
  | { readonly kind: 'go' }
  | { readonly kind: 'rebase' };

export type Outcome =
  | { readonly result: 'won'; readonly base: FreeVersions }
  | { readonly result: 'lost'; readonly code: string; readonly exitCode: number; readonly message: string };

export type Answer =
  | { readonly kind: 'ready' }
  /** At the barrier; the store's token of the `timestamp.json` that was read last. */
  | { readonly kind: 'planned'; readonly base: string }
  | { readonly kind: 'done'; readonly outcome: Outcome };
