/** Rules 4, 16 and 19: a root chain that a host can walk from any root it started with. */
import type { Root, SignedRole } from '../types.ts';
import type { Report } from './finding.ts';
import { lintSignatures, type Authority } from './signatures.ts';

/** python-tuf, tuf-js and go-tuf take so many steps at most. */
const MAX_ROOTS = 256;

/** @param roots in the order of their file names */
export function lintRootChain(roots: readonly SignedRole<Root>[], report: Report): void {
  const [first] = roots;
  if (first === undefined) return;
  if (first.role.version !== 1) {
    report(16, 'root', `the oldest root is ${first.role.version}; expected every root since 1: a host that starts there is stranded`);
  }
  roots.forEach((root, index) => {
    const previous = roots[index - 1]?.role;
    const authorities = [authorityOf(root.role), ...(previous === undefined ? [] : [authorityOf(previous)])];
    lintSignatures(root, 'root', authorities, report);
    if (previous !== undefined && root.role.version !== previous.version + 1) {
      const expected = `expected ${previous.version + 1}: no client goes on from there`;
      report(4, 'root.version', `root ${root.role.version} follows root ${previous.version}; ${expected}`);
    }
  });
  if (roots.length > MAX_ROOTS) {
    report(19, 'root', `the chain has ${roots.length} roots; expected at most ${MAX_ROOTS}: tuf-js, python-tuf and go-tuf follow no more`);
  }
}

function authorityOf(root: Root): Authority {
  return { keys: root.keys, roleKeys: root.roles.root };
}
