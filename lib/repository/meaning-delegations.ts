/** What a targets role changes about those whom it trusts with a part of the targets. */
import { named, quote } from '../errors.ts';
import type { DelegatedRole, Delegations, KeyId } from '../tuf/types.ts';
import { differing, sameValue, shorten, type KeyNames, type Meaning } from './meaning-parts.ts';

const KNOWN = new Set(['name', 'keyids', 'threshold', 'terminating', 'paths', 'path_hash_prefixes']);
const NONE: Delegations = { keys: {}, roles: [] };

export function meaningOfDelegations(next: Delegations = NONE, base: Delegations = NONE, nameOf: KeyNames): Meaning {
  const names = (roles: readonly DelegatedRole[]): readonly string[] => roles.map(({ name }) => name);
  const of = (roles: readonly DelegatedRole[], name: string): DelegatedRole | undefined => roles.find((role) => role.name === name);
  const added = next.roles.filter(({ name }) => of(base.roles, name) === undefined);
  const removed = base.roles.filter(({ name }) => of(next.roles, name) === undefined);
  const changed = next.roles.filter((role) => {
    const was = of(base.roles, role.name);
    return was !== undefined && !sameValue(was, role);
  });
  const stay = (roles: readonly DelegatedRole[], others: readonly DelegatedRole[]): readonly string[] =>
    names(roles).filter((name) => of(others, name) !== undefined);
  const isReordered = JSON.stringify(stay(next.roles, base.roles)) !== JSON.stringify(stay(base.roles, next.roles));
  return {
    sentences: [
      ...shorten(added.map((role) => `delegates ${describe(role, nameOf)}`)),
      ...shorten(removed.map(({ name }) => `takes the delegation to ${named(name)} back`)),
      ...shorten(changed.map((role) => `changes a delegation, which now is ${describe(role, nameOf)}`)),
      ...(isReordered ? ['changes the order in which delegations are asked'] : []),
    ],
    unexplained: [
      ...differing(base, next).flatMap((member) => (member === 'keys' || member === 'roles' ? [] : [`targets.delegations.${member}`])),
      ...next.roles.flatMap((role) =>
        Object.keys(role).flatMap((member) => (KNOWN.has(member) ? [] : [`targets.delegations.roles[${quote(role.name)}].${member}`])),
      ),
      ...Object.entries(next.keys).flatMap(([keyId, key]) => {
        // The cast only looks up: what is not there is undefined.
        const was = base.keys[keyId as KeyId];
        return was === undefined || sameValue(was, key) ? [] : [`targets.delegations.keys.${keyId}`];
      }),
    ],
  };
}

function describe({ name, keyids, threshold, terminating, paths, path_hash_prefixes: bins }: DelegatedRole, nameOf: KeyNames): string {
  const what = paths === undefined ? `${bins?.length ?? 0} hash bins` : paths.map(named).join(', ');
  return `${what} to ${named(name)}, signed by ${threshold} of ${keyids.map(nameOf).join(', ')}${terminating ? ', and asks nobody else' : ''}`;
}
