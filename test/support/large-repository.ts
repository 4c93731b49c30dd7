/** Repositories of many targets, flat or in hash bins, as files by name. */
import { hash } from 'node:crypto';
import { tufDate } from '../../lib/tuf/date.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import { signingPayload } from '../../lib/tuf/payload.ts';
import type { Signer } from '../../lib/keys/signer.ts';
import type { MetaFile, Role, RoleKeys, TargetFile, Targets } from '../../lib/tuf/types.ts';
import { newSigner } from './simulator.ts';

const COMMON = { spec_version: '1.0.0', version: 1, expires: tufDate(new Date('2100-01-01T00:00:00Z')) } as const;
const FILE: TargetFile = { length: 3, hashes: { sha256: sha256Hex(Buffer.from('abc')) } };

export function targetName(index: number): string {
  return `image-${index}.img`;
}

/**
 * @param bins a power of two up to 4,096, or 0 for one flat role
 * @param given signs every role; a new key by default
 */
export async function createLargeRepository(targets: number, bins: number, given?: Signer): Promise<ReadonlyMap<string, Uint8Array>> {
  const signer = given ?? (await newSigner());
  const files = new Map<string, Uint8Array>();
  const meta: Record<string, MetaFile> = {};
  const put = async (name: string, file: string, role: Role): Promise<MetaFile> => {
    const bytes = await compact(role, signer);
    files.set(file, bytes);
    meta[`${name}.json`] = { version: 1, length: bytes.length, hashes: { sha256: sha256Hex(bytes) } };
    return { version: 1, length: bytes.length, hashes: { sha256: sha256Hex(bytes) } };
  };
  const keys: RoleKeys = { keyids: [signer.keyId], threshold: 1 };
  const published = { [signer.keyId]: signer.key };
  const roles = { root: keys, timestamp: keys, snapshot: keys, targets: keys };
  await put('root', '1.root.json', { ...COMMON, _type: 'root', consistent_snapshot: true, keys: published, roles });
  delete meta['root.json'];
  const names = Array.from({ length: targets }, (_, index) => targetName(index));
  if (bins === 0) {
    await put('targets', '1.targets.json', targetsOf(names));
  } else {
    const held = binned(names, bins);
    for (const [index, some] of held.entries()) await put(binName(index), `1.${binName(index)}.json`, targetsOf(some));
    const delegated = held.map((_, index) => ({
      ...keys,
      name: binName(index),
      terminating: true,
      path_hash_prefixes: prefixesOf(index, bins),
    }));
    await put('targets', '1.targets.json', { ...targetsOf([]), delegations: { keys: published, roles: delegated } });
  }
  const snapshot = await put('snapshot', '1.snapshot.json', { ...COMMON, _type: 'snapshot', meta: { ...meta } });
  await put('timestamp', 'timestamp.json', { ...COMMON, _type: 'timestamp', meta: { 'snapshot.json': snapshot } });
  return files;
}

/** python-tuf and go-tuf write without spaces. */
async function compact(role: Role, signer: Signer): Promise<Uint8Array> {
  return Buffer.from(JSON.stringify({ signatures: [await signer.sign(signingPayload(role))], signed: role }));
}

function targetsOf(names: readonly string[]): Targets {
  return { ...COMMON, _type: 'targets', targets: Object.fromEntries(names.map((name) => [name, FILE])) };
}

function binName(index: number): string {
  return `bin-${index.toString(16)}`;
}

const PREFIXES = 4096;

function binned(names: readonly string[], bins: number): readonly (readonly string[])[] {
  const held = Array.from({ length: bins }, (): string[] => []);
  for (const name of names) held[Math.floor((Number.parseInt(hash('sha256', name, 'hex').slice(0, 3), 16) * bins) / PREFIXES)]?.push(name);
  return held;
}

function prefixesOf(bin: number, bins: number): readonly string[] {
  const each = PREFIXES / bins;
  return Array.from({ length: each }, (_, index) => (bin * each + index).toString(16).padStart(3, '0'));
}
