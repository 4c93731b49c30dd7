/** What a new root changes: who may sign what, and until when. */
import { sameValue, expiryMeaning, differing, unexplainedMembers, type KeyNames, type Meaning } from './meaning-parts.ts';
import type { KeyId, Root, RoleKeys, TopRoleName } from '../tuf/types.ts';

const ROLES: readonly TopRoleName[] = ['root', 'targets', 'snapshot', 'timestamp'];
const USUAL = { spec_version: '1.0.0', consistent_snapshot: true };

/** @param base the root before; absent for the first one */
export function meaningOfRoot(next: Root, base: Root | undefined, nameOf: KeyNames): Meaning {
  const roles = ROLES.flatMap((role) => meaningOfRole(role, next.roles[role], base?.roles[role], nameOf));
  const same = base !== undefined && roles.length === 0 ? ['changes nobody’s rights'] : [];
  return {
    sentences: [...roles, ...same, expiryMeaning(next, base)],
    unexplained: [
      ...unexplainedMembers(next, base, ['keys', 'roles'], USUAL),
      ...ROLES.flatMap((role) => unexplainedRole(role, next.roles[role], base?.roles[role])),
      ...Object.keys(next.roles).flatMap((role) => (ROLES.some((known) => known === role) ? [] : [`root.roles.${role}`])),
      ...unexplainedKeys(next, base),
    ],
  };
}

function meaningOfRole(role: TopRoleName, next: RoleKeys, base: RoleKeys | undefined, nameOf: KeyNames): readonly string[] {
  if (base === undefined) return [`lets ${role} be signed by ${next.threshold} of ${next.keyids.map(nameOf).join(', ')}`];
  const without = (keys: RoleKeys, others: RoleKeys): readonly KeyId[] => keys.keyids.filter((keyId) => !others.keyids.includes(keyId));
  return [
    ...without(next, base).map((keyId) => `adds key ${nameOf(keyId)} to ${role}`),
    ...without(base, next).map((keyId) => `removes key ${nameOf(keyId)} from ${role}`),
    ...(next.threshold === base.threshold ? [] : [`changes the threshold of ${role} from ${base.threshold} to ${next.threshold}`]),
  ];
}

/** Only the list of keys and the threshold are told; their order means nothing. */
function unexplainedRole(role: TopRoleName, next: RoleKeys, base: RoleKeys | undefined): readonly string[] {
  return differing(base ?? {}, next).flatMap((name) => (name === 'keyids' || name === 'threshold' ? [] : [`root.roles.${role}.${name}`]));
}

/** A key that no role lists, or that changed under its id. */
function unexplainedKeys({ keys, roles }: Root, base: Root | undefined): readonly string[] {
  const listed = new Set<string>(ROLES.flatMap((role) => roles[role].keyids));
  return Object.entries(keys).flatMap(([keyId, key]) => {
    // The cast only looks up: what is not there is undefined.
    const was = base?.keys[keyId as KeyId];
    if (was !== undefined) return sameValue(was, key) ? [] : [`root.keys.${keyId}`];
    return listed.has(keyId) ? [] : [`root.keys.${keyId}`];
  });
}
