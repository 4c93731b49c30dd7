/**
 * Keys that an ssh-agent holds: `ssh-agent:SHA256:…`, as `ssh-add -l` prints it, or `ssh-agent:COMMENT`.
 *
 * Rules:
 * - ed25519 and ECDSA P-256 only: an agent signs with RSA in the old padding, and FIDO2 keys (`sk-…`) sign an envelope of their own;
 *   neither is a signature of TUF;
 * - a comment that two keys have names none.
 *
 * Formats: draft-ietf-sshm-ssh-agent; signatures of ECDSA as RFC 5656 §3.1.2 has them.
 */
import { createHash } from 'node:crypto';
import type { OpenSSHAgent, ParsedKey } from 'ssh2';
import { isGantryError, quote } from '../errors.ts';
import { publicKeyFromPem } from '../tuf/key.ts';
import type { SignerAccess } from './access.ts';
import { verifyingSigner } from './key-signer.ts';
import { badReference, signerFailed } from './reference.ts';
import type { Signer } from './signer.ts';

const SIGNS = new Set(['ssh-ed25519', 'ecdsa-sha2-nistp256']);
const DER = { sequence: 0x30, integer: 0x02 };

/** @throws GantryError `keys/bad-reference`, `keys/signer-failed` */
export async function openAgentSigner(url: string, { name, env }: SignerAccess): Promise<Signer> {
  const wanted = url.slice('ssh-agent:'.length);
  if (wanted === '') throw badReference(url, 'it names no key; expected ssh-agent:SHA256:…, as ssh-add -l prints it, or its comment');
  const socket = env['SSH_AUTH_SOCK'];
  if (socket === undefined || socket === '') throw signerFailed(name, 'SSH_AUTH_SOCK is not set; expected a running ssh-agent');
  const { default: ssh2 } = await import('ssh2');
  const agent = new ssh2.OpenSSHAgent(socket);
  const found = pick(await identities(agent, name), wanted, name);
  try {
    return verifyingSigner(publicKeyFromPem(found.getPublicPEM()), async (payload) => {
      const signature = await signWith(agent, found, payload, name);
      return found.type === 'ssh-ed25519' ? signature : derOf(signature, name);
    });
  } catch (cause) {
    if (!isGantryError(cause)) throw cause;
    throw signerFailed(name, `the agent's key cannot sign: ${cause.message}`, cause);
  }
}

/** `SHA256:…` as `ssh-add -l` prints it. */
function fingerprintOf(key: ParsedKey): string {
  return `SHA256:${createHash('sha256').update(key.getPublicSSH()).digest('base64').replace(/=+$/u, '')}`;
}

function pick(keys: readonly ParsedKey[], wanted: string, name: string): ParsedKey {
  const [found, ...more] = keys.filter((key) => fingerprintOf(key) === wanted || key.comment === wanted);
  if (found === undefined) {
    const held = keys.filter(({ type }) => SIGNS.has(type)).map((key) => `${fingerprintOf(key)} (${key.comment})`);
    const offer = held.length === 0 ? 'it holds no ed25519 or ECDSA P-256 key' : `it holds ${held.map(quote).join(', ')}`;
    throw signerFailed(name, `the agent holds no key ${quote(wanted)}: ${offer}; expected it to be added with ssh-add`);
  }
  if (more.length > 0) throw signerFailed(name, `${more.length + 1} keys of the agent are called ${quote(wanted)}; expected a fingerprint`);
  if (!SIGNS.has(found.type)) {
    throw signerFailed(name, `the agent signs with ${found.type} in a way that is none of TUF's; expected ed25519 or ECDSA P-256`);
  }
  return found;
}

async function identities(agent: OpenSSHAgent, name: string): Promise<readonly ParsedKey[]> {
  return new Promise((resolve, reject) => {
    agent.getIdentities((error, keys) => {
      if (error !== undefined && error !== null)
        reject(signerFailed(name, `no ssh-agent answers at SSH_AUTH_SOCK: ${error.message}`, error));
      // The proof: an agent of OpenSSH parses what it returns; only agents of other classes return plain bytes.
      else resolve((keys ?? []) as readonly ParsedKey[]);
    });
  });
}

async function signWith(agent: OpenSSHAgent, key: ParsedKey, payload: Uint8Array, name: string): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    agent.sign(key, Buffer.from(payload), {}, (error, signature) => {
      if (signature !== undefined) resolve(signature);
      else
        reject(
          signerFailed(name, `the agent did not sign: ${error?.message ?? 'no answer'}; expected it to be unlocked, and asked of`, error),
        );
    });
  });
}

/** Two numbers, each behind its length, and written as DER writes them. */
function derOf(signature: Uint8Array, name: string): Uint8Array {
  const view = Buffer.from(signature);
  const parts: Buffer[] = [];
  for (let at = 0; at + 4 <= view.length;) {
    const end = at + 4 + view.readUInt32BE(at);
    parts.push(view.subarray(at + 4, end));
    at = end;
  }
  // Both together stay below 128 bytes, where a length of DER is one byte.
  if (parts.length !== 2 || view.length > 80) throw signerFailed(name, 'the agent returned what is no signature of ECDSA P-256');
  const body = Buffer.concat(parts.flatMap((part) => [Buffer.from([DER.integer, part.length]), part]));
  return Buffer.concat([Buffer.from([DER.sequence, body.length]), body]);
}
