/** Rules 4, 16 and 19: a root chain that a host can walk from any root it started with. */
import type { Root, SignedRole } from '../types.ts';
import type { Report } from './finding.ts';
import { lintSignatures, type Authority } from './signatures.ts';

/** python-tuf, tuf-js and go-tuf follow so many steps at most. */
const MAX_STEPS = 256;

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
    if (previous !== undefined) lintStep(previous.version, root.role.version, report);
  });
  if (roots.length - 1 > MAX_STEPS) {
    report(
      19,
      'root',
      `the chain has ${roots.length - 1} steps; expected at most ${MAX_STEPS}: tuf-js, python-tuf and go-tuf follow no more`,
    );
  }
}

function lintStep(previous: number, version: number, report: Report): void {
  if (version === previous + 1) return;
  if (version <= previous) {
    report(4, 'root.version', `root ${version} follows root ${previous}; expected ${previous + 1}: every client refuses it`);
  } else {
    report(16, 'root', `root ${version} follows root ${previous}; expected ${previous + 1}.root.json: no client goes on without it`);
  }
}

function authorityOf(root: Root): Authority {
  return { keys: root.keys, roleKeys: root.roles.root };
}
