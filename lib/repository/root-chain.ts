/**
 * The root chain: every root ever issued, each accepted by the one before it.
 *
 * Rules (TUF 1.0.34 §5.3):
 * - versions go up by exactly one;
 * - a root carries the threshold of its own root keys and of its predecessor's;
 * - expiry does not matter inside a chain, only for its last link, and only to whoever relies on it.
 */
import { GantryError } from '../errors.ts';
import { verifyThreshold } from '../tuf/signature.ts';
import type { Root, SignedRole } from '../tuf/types.ts';

declare const verified: unique symbol;

/** Consecutive roots that were verified against each other; at least one. */
export interface RootChain {
  readonly [verified]: true;
  readonly roots: readonly SignedRole<Root>[];
  readonly latest: SignedRole<Root>;
}

/**
 * A chain from its roots in ascending order. The first one is believed: it is the trust anchor.
 *
 * @throws GantryError `repository/root-chain`, `tuf/threshold`
 */
export function openRootChain(roots: readonly SignedRole<Root>[]): RootChain {
  const [first, ...rest] = roots;
  if (first === undefined) {
    throw new GantryError('repository/root-chain', 'Cannot open the root chain: it is empty; expected at least one root', {
      version: 1,
    });
  }
  verifyRoot(first, first.role);
  return rest.reduce(extendRootChain, chainOf([first]));
}

/**
 * One more link.
 *
 * @throws GantryError `repository/root-chain`, `tuf/threshold`
 */
export function extendRootChain(chain: RootChain, next: SignedRole<Root>): RootChain {
  const expected = chain.latest.role.version + 1;
  if (next.role.version !== expected) {
    throw new GantryError(
      'repository/root-chain',
      `Cannot extend the root chain: the next root has version ${next.role.version}; expected ${expected}`,
      { version: next.role.version },
    );
  }
  verifyRoot(next, chain.latest.role);
  verifyRoot(next, next.role);
  return chainOf([...chain.roots, next]);
}

function verifyRoot(root: SignedRole<Root>, authority: Root): void {
  verifyThreshold({ signed: root.role, signatures: root.signatures }, authority.keys, authority.roles.root, 'root');
}

function chainOf(roots: readonly SignedRole<Root>[]): RootChain {
  const latest = roots.at(-1);
  if (latest === undefined) throw new RangeError('a root chain has at least one root');
  // The brand is given only here, after verification by the callers above.
  return { roots, latest } as unknown as RootChain;
}
