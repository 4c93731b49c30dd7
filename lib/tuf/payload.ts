/**
 * The canonical form of a role: what a signer signs, and what a signature is verified over.
 *
 * A role never changes once it is made, as its type says; a new one is a new object. So each is canonicalised once: a draft of 100,000
 * targets is looked at a dozen times on its way, and each look would take a second.
 */
import { canonicalBytes, canonicalBytesAsRead } from './canonical.ts';
import type { Role } from './types.ts';

const forms = new WeakMap<Role, Uint8Array>();
/** Those that every client canonicalises alike. */
const portable = new WeakSet<Role>();

/** Of what somebody has signed. @throws GantryError `tuf/malformed` for what has no canonical form */
export function payloadAsRead(role: Role): Uint8Array {
  const known = forms.get(role);
  if (known !== undefined) return known;
  const bytes = canonicalBytesAsRead(role);
  forms.set(role, bytes);
  return bytes;
}

/**
 * What a signer signs.
 *
 * @throws GantryError `tuf/malformed` for what some client would canonicalise differently
 */
export function signingPayload(role: Role): Uint8Array {
  const known = portable.has(role) ? forms.get(role) : undefined;
  if (known !== undefined) return known;
  const bytes = canonicalBytes(role);
  forms.set(role, bytes);
  portable.add(role);
  return bytes;
}
