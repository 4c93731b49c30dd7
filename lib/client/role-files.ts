/**
 * Files of roles, looked at no closer than is needed to say what they are. Whether they are to be believed is for tuf-js to say,
 * and a large one is not parsed twice.
 */
import type { TopRoleName } from '../tuf/types.ts';

export const TOP_ROLES: readonly TopRoleName[] = ['root', 'timestamp', 'snapshot', 'targets'];

/** The top roles, by name. */
export type RoleFiles = Readonly<Partial<Record<TopRoleName, Uint8Array>>>;

/** Above it, only the ends are looked at. */
const PARSED_BYTES = 1 << 20;

export function isTopRole(role: string): role is TopRoleName {
  return TOP_ROLES.some((each) => each === role);
}

/** What is signed, or undefined when this is not metadata at all. */
export function signedOf(bytes: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const { signed }: { readonly signed?: unknown } = JSON.parse(Buffer.from(bytes).toString('utf8')) ?? {};
    return typeof signed === 'object' && signed !== null ? (signed as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}

export function versionOf(bytes: Uint8Array): number | undefined {
  const version: unknown = signedOf(bytes)?.['version'];
  return typeof version === 'number' ? version : undefined;
}

/** False for what was torn, or is another role. */
export function isWhole(bytes: Uint8Array, role: TopRoleName): boolean {
  if (bytes.length <= PARSED_BYTES) return signedOf(bytes)?.['_type'] === role;
  const end = Buffer.from(bytes.subarray(-8)).toString('latin1').trimEnd();
  return bytes[0] === '{'.charCodeAt(0) && end.endsWith('}');
}

export function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
