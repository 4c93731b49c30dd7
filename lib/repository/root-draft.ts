/**
 * A root that is being made: from who may sign what, to a link of the chain.
 *
 * Rules:
 * - versions go up by one; nobody types them;
 * - a root that would strand itself (threshold above its keys, a role without keys) is not drafted;
 * - a complete root is complete under its own keys and under its predecessor's.
 */
import { GantryError } from '../errors.ts';
import { keyContentOf, keyIdOf } from '../tuf/key.ts';
import { assertPortable } from '../tuf/lint.ts';
import { sealEnvelope } from '../tuf/role.ts';
import type { Envelope, KeyId, PublicKey, Root, RoleKeys, TopRoleName, TufDate } from '../tuf/types.ts';
import { expiryOf, type ExpiryPolicy } from './expiry.ts';
import { extendRootChain, openRootChain, type RootChain } from './root-chain.ts';
import { requestFor, type Authority, type SigningRequest } from './signing.ts';

/** Who may sign a role. */
export interface RoleSpec {
  readonly keys: readonly PublicKey[];
  readonly threshold: number;
}

/** Who may sign what: the whole content of a root that is not counted or dated. */
export type RootSpec = Readonly<Record<TopRoleName, RoleSpec>>;

const ROLES: readonly TopRoleName[] = ['root', 'targets', 'snapshot', 'timestamp'];

/**
 * The unsigned first root, or the unsigned successor of `previous`.
 *
 * @param expires by the policy where nothing is said
 * @throws GantryError `repository/bad-threshold`, `tuf/not-portable`
 */
export function draftRoot(
  spec: RootSpec,
  now: Date,
  policy: ExpiryPolicy,
  previous?: Pick<Root, 'version'>,
  expires: TufDate = expiryOf('root', now, policy),
): Envelope<Root> {
  const signed: Root = {
    _type: 'root',
    spec_version: '1.0.0',
    version: (previous?.version ?? 0) + 1,
    expires,
    consistent_snapshot: true,
    keys: keysOf(spec),
    roles: {
      root: roleKeysOf('root', spec),
      targets: roleKeysOf('targets', spec),
      snapshot: roleKeysOf('snapshot', spec),
      timestamp: roleKeysOf('timestamp', spec),
    },
  };
  assertPortable(signed);
  return { signed, signatures: [] };
}

/** The spec that a root was made from, to change one thing in it. */
export function specOf(root: Root): RootSpec {
  const roleSpec = (name: TopRoleName): RoleSpec => ({
    keys: root.roles[name].keyids.flatMap((keyId) => root.keys[keyId] ?? []),
    threshold: root.roles[name].threshold,
  });
  return { root: roleSpec('root'), targets: roleSpec('targets'), snapshot: roleSpec('snapshot'), timestamp: roleSpec('timestamp') };
}

function keysOf(spec: RootSpec): Record<KeyId, PublicKey> {
  const keys = ROLES.flatMap((role) => spec[role].keys);
  return Object.fromEntries(keys.map((key) => [keyIdOf(key), key]));
}

function roleKeysOf(role: TopRoleName, spec: RootSpec): RoleKeys {
  const keyids = [...new Set(spec[role].keys.map(keyIdOf))];
  const { threshold } = spec[role];
  // One key under two ids gives one signature that counts.
  const keys = new Set(spec[role].keys.map(keyContentOf)).size;
  if (!Number.isSafeInteger(threshold) || threshold < 1 || threshold > keys) {
    throw new GantryError(
      'repository/bad-threshold',
      `Cannot draft a root: the ${role} role has ${keys} ${keys === 1 ? 'key' : 'keys'} and threshold ${threshold}; ` +
        'expected a threshold from 1 to the number of its keys',
      { role, threshold, keys },
    );
  }
  return { keyids, threshold };
}

/** Whose signatures a root needs. */
export function rootAuthorities(root: Root, previous?: Root): readonly Authority[] {
  const own: Authority = { keys: root.keys, roleKeys: root.roles.root };
  return previous === undefined ? [own] : [own, { keys: previous.keys, roleKeys: previous.roles.root }];
}

export function rootRequest(envelope: Envelope<Root>, previous?: Root): SigningRequest {
  return requestFor(envelope, rootAuthorities(envelope.signed, previous));
}

/**
 * The chain with the drafted root as its next (or first) link.
 *
 * @throws GantryError `repository/incomplete` while signatures are missing
 */
export function finishRoot(envelope: Envelope<Root>, chain?: RootChain): RootChain {
  const { missing } = rootRequest(envelope, chain?.latest.role);
  if (missing.length > 0) {
    throw new GantryError('repository/incomplete', `Cannot finish root version ${envelope.signed.version}: signatures are missing`, {
      missing,
    });
  }
  const sealed = sealEnvelope(envelope);
  return chain === undefined ? openRootChain([sealed]) : extendRootChain(chain, sealed);
}
