/**
 * Signing one role: whether a key at hand is asked for, what the person says, and one signature after the other.
 *
 * A role that no key at hand may sign is explained all the same: whoever looks learns who is missing.
 */
import { GantryError, type MissingSignatures } from '../errors.ts';
import type { PassphraseSource } from '../keys/passphrase.ts';
import type { Signer } from '../keys/signer.ts';
import type { RoleView } from '../repository/draft-view.ts';
import type { SigningRequest } from '../repository/signing.ts';
import type { KeyId, Signature, TopRoleName } from '../tuf/types.ts';
import type { RepositoryName } from '../workspace/config.ts';
import { keyIdsAtHand, signersAtHand } from '../workspace/key-ring.ts';

/** `complete`: nothing was missing. `not-yours`: none of the keys at hand may sign it. */
export type SigningReason = 'signed' | 'declined' | 'not-yours' | 'complete';

/** What happened to one role. */
export interface SignedItem {
  /** Absent for the root, which all repositories share. */
  readonly repository?: RepositoryName;
  readonly role: TopRoleName;
  readonly version: number;
  readonly reason: SigningReason;
  /** By the keys at hand, now. */
  readonly signedBy: readonly KeyId[];
  /** Empty when the role is complete. */
  readonly missing: readonly MissingSignatures[];
}

/** What a person is shown before anything is signed. */
export interface SigningAsk {
  readonly repository?: RepositoryName;
  /** What it was computed from, in words. */
  readonly base: string;
  readonly view: RoleView;
  /** Keys at hand that may sign and have not; empty when it is not theirs to sign. */
  readonly mine: readonly KeyId[];
  /** Of these, keys that the root before does not list: their holders are invited. */
  readonly invited: readonly KeyId[];
}

export interface SigningOptions {
  readonly keysDirectory: string;
  readonly passphrases: PassphraseSource;
  readonly now: Date;
  /** Shows what is to be signed and answers whether it is; without it everything is signed. Not asked for what follows from it. */
  readonly ask?: (ask: SigningAsk) => Promise<boolean>;
}

export interface Collecting extends Omit<SigningAsk, 'mine' | 'invited'> {
  readonly request: SigningRequest;
  readonly isNewcomer?: (keyId: KeyId) => boolean;
  /** Absent: the first of its draft. */
  readonly order?: 'first' | 'follows';
  /** Puts the signature on disk. @throws GantryError `keys/bad-signature` when it does not count */
  readonly keep: (signature: Signature) => Promise<void>;
}

export interface Signing {
  /** @throws GantryError `repository/unexplained` */
  collect(work: Collecting): Promise<{ readonly reason: SigningReason; readonly signedBy: readonly KeyId[] }>;
}

export async function openSigning(options: SigningOptions): Promise<Signing> {
  const sign = signWith(options);
  const atHand = await keyIdsAtHand(options.keysDirectory);
  return {
    async collect({ request, isNewcomer = () => false, order = 'first', keep, ...shown }) {
      if (request.missing.length === 0) return { reason: 'complete', signedBy: [] };
      refuseUnexplained(shown.view);
      const mine = request.candidates.filter((keyId) => atHand.has(keyId));
      const isWanted =
        order === 'follows' || options.ask === undefined || (await options.ask({ ...shown, mine, invited: mine.filter(isNewcomer) }));
      if (mine.length === 0) return { reason: 'not-yours', signedBy: [] };
      if (!isWanted) return { reason: 'declined', signedBy: [] };
      const signedBy: KeyId[] = [];
      for (const keyId of mine) {
        for (const signature of await sign({ ...request, candidates: [keyId] })) {
          await keep(signature);
          signedBy.push(signature.keyid);
        }
      }
      return { reason: 'signed', signedBy };
    },
  };
}

function refuseUnexplained({ role, version, unexplained }: RoleView): void {
  if (unexplained.length === 0) return;
  throw new GantryError(
    'repository/unexplained',
    `Cannot sign ${role} version ${version}: nobody can tell what ${unexplained.join(', ')} means; expected only what gantry can explain`,
    { role, members: unexplained },
  );
}

type SignRequest = (request: SigningRequest) => Promise<readonly Signature[]>;

/** Signs with every key at hand that may; each private key is opened once. */
function signWith({ keysDirectory, passphrases }: SigningOptions): SignRequest {
  const opened = new Map<KeyId, Signer>();
  return async ({ candidates, payload }) => {
    const unopened = new Set(candidates.filter((keyId) => !opened.has(keyId)));
    for (const signer of await signersAtHand(keysDirectory, unopened, passphrases)) opened.set(signer.keyId, signer);
    const signers = candidates.flatMap((keyId) => opened.get(keyId) ?? []);
    return Promise.all(signers.map(async (signer) => signer.sign(payload)));
  };
}
