/**
 * Signing one role: whether a key at hand is asked for, what the person says, and one signature after the other.
 *
 * A role that no key at hand may sign is explained all the same: whoever looks learns who is missing.
 */
import { GantryError, isGantryError, type MissingSignatures } from '../errors.ts';
import type { RoleView } from '../repository/draft-view.ts';
import type { SigningRequest } from '../repository/signing.ts';
import type { KeyId, Signature } from '../tuf/types.ts';
import type { RepositoryName } from '../workspace/config.ts';
import { openKeyRing, type KeyRing, type KeyRingOptions } from '../workspace/key-ring.ts';

/** `complete`: nothing was missing. `not-yours`: none of the keys at hand may sign it. `failed`: those that may could not be used. */
export type SigningReason = 'signed' | 'declined' | 'not-yours' | 'failed' | 'complete';

const KEY_FAILURES = /^(?:keys|files|tuf)\//u;

/** What happened to one role. */
export interface SignedItem {
  /** Absent for the root, which all repositories share. */
  readonly repository?: RepositoryName;
  /** Of a delegated role its own name. */
  readonly role: string;
  readonly version: number;
  readonly reason: SigningReason;
  /** By the keys at hand, now. */
  readonly signedBy: readonly KeyId[];
  /** Keys at hand that could not be used: a wrong passphrase, a token that is locked. The others have signed. */
  readonly failed: readonly FailedKey[];
  /** Empty when the role is complete. */
  readonly missing: readonly MissingSignatures[];
}

export interface FailedKey {
  readonly keyId: KeyId;
  readonly error: GantryError;
}

/** Why nobody signed although somebody could have: what the first key failed with. Undefined when a key has signed. */
export function failureOf(items: readonly SignedItem[]): GantryError | undefined {
  if (items.some(({ signedBy }) => signedBy.length > 0)) return undefined;
  return items.flatMap(({ failed }) => failed)[0]?.error;
}

/** What a person is shown before anything is signed. */
export interface SigningAsk {
  readonly repository?: RepositoryName;
  /** What it was computed from, in words. */
  readonly base: string;
  /** Roles that wait together. */
  readonly views: readonly RoleView[];
  /** Keys at hand that may sign and have not; empty when it is not theirs to sign. */
  readonly mine: readonly KeyId[];
  /** Of these, keys that the root before does not list: their holders are invited. */
  readonly invited: readonly KeyId[];
}

export interface SigningOptions extends KeyRingOptions {
  readonly now: Date;
  /** Shows what is to be signed and answers whether it is; without it everything is signed. Not asked for what follows from it. */
  readonly ask?: (ask: SigningAsk) => Promise<boolean>;
}

export interface Collecting extends Omit<SigningAsk, 'mine' | 'invited'> {
  /** One for each view. */
  readonly requests: readonly SigningRequest[];
  readonly isNewcomer?: (keyId: KeyId) => boolean;
  /** Absent: the first of its draft. */
  readonly order?: 'first' | 'follows';
  /** Puts the signature on disk. @throws GantryError `keys/bad-signature` when it does not count */
  readonly keep: (signature: Signature, request: SigningRequest) => Promise<void>;
  /** What `keep` put off: called before the next key is asked for. */
  readonly save?: () => Promise<void>;
}

export interface Signing {
  /** Asks once for all of them. @returns one for each request; @throws GantryError `repository/unexplained` */
  collect(work: Collecting): Promise<readonly Collected[]>;
  /** Gives tokens and agents back. */
  close(): Promise<void>;
}

export type Collected = Pick<SignedItem, 'reason' | 'signedBy' | 'failed'>;

/** Of a role that no signature is missing of. */
export const COMPLETE: Collected = { reason: 'complete', signedBy: [], failed: [] };

export async function openSigning(options: SigningOptions): Promise<Signing> {
  const ring = await openKeyRing(options);
  // A key that failed once is not tried again: a token counts wrong PINs, and a person is not asked twice for nothing.
  const failures = new Map<KeyId, GantryError>();
  return {
    async collect({ requests, isNewcomer = () => false, order = 'first', keep, save, ...shown }) {
      const open = requests.filter(({ missing }) => missing.length > 0);
      if (open.length === 0) return requests.map(() => COMPLETE);
      shown.views.forEach(refuseUnexplained);
      const keys = Object.assign({}, ...open.map((request) => request.keys)) as SigningRequest['keys'];
      const mine = [...new Set(open.flatMap(({ candidates }) => candidates))].filter((keyId) => {
        const key = keys[keyId];
        return key !== undefined && ring.has(key);
      });
      const isWanted =
        order === 'follows' || options.ask === undefined || (await options.ask({ ...shown, mine, invited: mine.filter(isNewcomer) }));
      const signatures = new Map(open.map((request) => [request, new Set<KeyId>()]));
      for (const keyId of isWanted ? mine : []) {
        for (const request of open.filter(({ candidates }) => candidates.includes(keyId))) {
          const signature = failures.has(keyId) ? undefined : await signWith(ring, keyId, request, failures);
          if (signature === undefined) break;
          await keep(signature, request);
          signatures.get(request)?.add(keyId);
        }
        await save?.();
      }
      return requests.map((request) => {
        const own = request.candidates.filter((keyId) => mine.includes(keyId));
        if (request.missing.length === 0) return COMPLETE;
        if (own.length === 0 || !isWanted) return { reason: own.length === 0 ? 'not-yours' : 'declined', signedBy: [], failed: [] };
        const signedBy = [...(signatures.get(request) ?? [])];
        const failed = own.flatMap((keyId) => {
          const error = failures.get(keyId);
          return error === undefined || signedBy.includes(keyId) ? [] : [{ keyId, error }];
        });
        return { reason: signedBy.length === 0 ? 'failed' : 'signed', signedBy, failed };
      });
    },
    close: async () => ring.close(),
  };
}

/** A key that cannot be used is remembered, and the next one is used. */
async function signWith(
  ring: KeyRing,
  keyId: KeyId,
  { payload, keys }: SigningRequest,
  failures: Map<KeyId, GantryError>,
): Promise<Signature | undefined> {
  const key = keys[keyId];
  if (key === undefined) return undefined;
  try {
    // Under the id that the role lists.
    return { ...(await (await ring.open(key)).sign(payload)), keyid: keyId };
  } catch (error) {
    if (!isGantryError(error) || !KEY_FAILURES.test(error.code)) throw error;
    failures.set(keyId, error);
    return undefined;
  }
}

function refuseUnexplained({ role, version, unexplained }: RoleView): void {
  if (unexplained.length === 0) return;
  throw new GantryError(
    'repository/unexplained',
    `Cannot sign ${role} version ${version}: nobody can tell what ${unexplained.join(', ')} means; expected only what gantry can explain`,
    { role, members: unexplained },
  );
}
