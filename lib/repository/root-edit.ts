/**
 * Changes of who may sign what.
 *
 * Rules:
 * - a change that changes nothing is refused: whoever asked for it is mistaken about the root;
 * - one key counts once, under however many key ids it comes;
 * - what would leave a role without enough keys is refused when the root is drafted (`draftRoot`).
 */
import { GantryError } from '../errors.ts';
import { keyContentOf, keyIdOf } from '../tuf/key.ts';
import type { KeyId, PublicKey, TopRoleName } from '../tuf/types.ts';
import type { RoleSpec, RootSpec } from './root-draft.ts';

export const ROOT_ROLES: readonly TopRoleName[] = ['root', 'targets', 'snapshot', 'timestamp'];

export type RootEdit =
  | { readonly kind: 'add-key'; readonly key: PublicKey; readonly roles: readonly TopRoleName[] }
  /** Without roles: from all that list it. */
  | { readonly kind: 'remove-key'; readonly keyId: KeyId; readonly roles?: readonly TopRoleName[] }
  /** In every role that lists it. */
  | { readonly kind: 'replace-key'; readonly keyId: KeyId; readonly by: PublicKey }
  | { readonly kind: 'set-threshold'; readonly role: TopRoleName; readonly threshold: number };

/** @throws GantryError `repository/bad-root-edit` */
export function applyRootEdit(spec: RootSpec, edit: RootEdit): RootSpec {
  switch (edit.kind) {
    case 'add-key':
      return change(spec, edit.roles, (role) => addKey(role, spec[role], edit.key));
    case 'remove-key':
      return change(spec, edit.roles ?? rolesOf(spec, edit.keyId), (role) => removeKey(role, spec[role], edit.keyId));
    case 'replace-key':
      return change(spec, rolesOf(spec, edit.keyId), (role) => addKey(role, removeKey(role, spec[role], edit.keyId), edit.by));
    case 'set-threshold': {
      const { role, threshold } = edit;
      if (spec[role].threshold === threshold)
        throw badEdit(role, `Cannot change the threshold of ${role}: it is ${threshold} already; expected another one`);
      return { ...spec, [role]: { ...spec[role], threshold } };
    }
  }
}

/** The roles that list a key. @throws GantryError `repository/bad-root-edit` when none does */
export function rolesOf(spec: RootSpec, keyId: KeyId): readonly TopRoleName[] {
  const roles = ROOT_ROLES.filter((role) => lists(spec[role], keyId));
  if (roles.length > 0) return roles;
  throw badEdit('root', `Cannot take the key ${keyId.slice(0, 12)} out of the root: no role lists it; expected one of its keys`);
}

export function lists({ keys }: RoleSpec, keyId: KeyId): boolean {
  return keys.some((key) => keyIdOf(key) === keyId);
}

function change(spec: RootSpec, roles: readonly TopRoleName[], one: (role: TopRoleName) => RoleSpec): RootSpec {
  return { ...spec, ...Object.fromEntries(roles.map((role) => [role, one(role)])) };
}

function addKey(role: TopRoleName, { keys, threshold }: RoleSpec, key: PublicKey): RoleSpec {
  const content = keyContentOf(key);
  if (keys.some((one) => keyContentOf(one) === content)) {
    throw badEdit(role, `Cannot add the key ${keyIdOf(key).slice(0, 12)} to ${role}: it is there already; expected another key`);
  }
  return { keys: [...keys, key], threshold };
}

function removeKey(role: TopRoleName, spec: RoleSpec, keyId: KeyId): RoleSpec {
  if (!lists(spec, keyId))
    throw badEdit(role, `Cannot remove the key ${keyId.slice(0, 12)} from ${role}: ${role} does not list it; expected one of its keys`);
  return { ...spec, keys: spec.keys.filter((key) => keyIdOf(key) !== keyId) };
}

/**
 * The drafted changes on top of another root than they were made for.
 *
 * @param base what they were made for
 * @throws GantryError `repository/moved-on` when both changed the same threshold, or what is left makes no sense
 */
export function rebaseRootSpec(base: RootSpec, drafted: RootSpec, latest: RootSpec): RootSpec {
  const one = (role: TopRoleName): RoleSpec => rebaseRole(role, base[role], drafted[role], latest[role]);
  return { root: one('root'), targets: one('targets'), snapshot: one('snapshot'), timestamp: one('timestamp') };
}

function rebaseRole(role: TopRoleName, base: RoleSpec, drafted: RoleSpec, latest: RoleSpec): RoleSpec {
  const added = drafted.keys.filter((key) => !lists(base, keyIdOf(key)) && !lists(latest, keyIdOf(key)));
  const kept = latest.keys.filter((key) => !lists(base, keyIdOf(key)) || lists(drafted, keyIdOf(key)));
  const isOurs = drafted.threshold !== base.threshold;
  if (isOurs && latest.threshold !== base.threshold && latest.threshold !== drafted.threshold) {
    const [from, to] = [`threshold ${drafted.threshold}`, `threshold ${latest.threshold}`];
    throw new GantryError(
      'repository/moved-on',
      `Cannot make the draft again: it gives ${role} the ${from}, and the root that came between ${to}; expected changes that do not conflict`,
      { base: from, live: to },
    );
  }
  return { keys: [...kept, ...added], threshold: isOurs ? drafted.threshold : latest.threshold };
}

function badEdit(role: string, message: string): GantryError {
  return new GantryError('repository/bad-root-edit', message, { role });
}
