/** A small repository of our own making, published into a folder: what the foreign clients are asked to read. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generatePrivateKey } from '../../lib/keys/generate.ts';
import { signerFromKeyObject } from '../../lib/keys/key-signer.ts';
import type { Signer } from '../../lib/keys/signer.ts';
import { tufDate } from '../../lib/tuf/date.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import { assertPortable } from '../../lib/tuf/lint.ts';
import { sealEnvelope } from '../../lib/tuf/role.ts';
import { signingPayload } from '../../lib/tuf/payload.ts';
import type { KeyId, PublicKey, Role, RoleKeys, Root, SignedRole, TargetFile } from '../../lib/tuf/types.ts';

export interface PublishedRepository {
  /** What a web server serves. */
  readonly directory: string;
  /** `1.root.json`: all that a host is born with. */
  readonly rootFile: string;
  /** Relative to the server's root, ending in a slash. */
  readonly metadataPath: string;
  readonly targetsPath: string;
  readonly versions: { readonly root: number; readonly targets: number; readonly snapshot: number; readonly timestamp: number };
  /** The bytes that every target must turn out to be, by target path. */
  readonly targets: ReadonlyMap<string, Uint8Array>;
  /** The published file of a target, absolute. */
  publishedFile(target: string): string;
}

const EXPIRES = tufDate(new Date('2100-01-01T00:00:00Z'));
const SPEC = { spec_version: '1.0.0', expires: EXPIRES } as const;
const VERSIONS = { root: 2, targets: 7, snapshot: 9, timestamp: 12 } as const;

/** One key of each type for the root with a threshold of 2, another type for each other role, one root rotation. */
export async function publishedRepository(directory: string): Promise<PublishedRepository> {
  const metadataPath = 'metal/x86_64/';
  const metadata = join(directory, metadataPath);
  const targetsFolder = join(directory, 'targets');
  await mkdir(metadata, { recursive: true });
  await mkdir(targetsFolder, { recursive: true });
  const publish = (name: string, role: SignedRole): Promise<void> => writeFile(join(metadata, name), role.bytes);

  const keys = await makeKeys();
  await writeRoots(publish, keys);
  await writeRoles(publish, keys);
  for (const [name, bytes] of TARGETS) {
    await writeFile(join(targetsFolder, publishedName(name, bytes)), bytes);
  }
  return {
    directory,
    rootFile: join(metadata, '1.root.json'),
    metadataPath,
    targetsPath: 'targets/',
    versions: VERSIONS,
    targets: TARGETS,
    publishedFile: (target) => join(targetsFolder, publishedName(target, TARGETS.get(target) ?? new Uint8Array())),
  };
}

const TARGETS: ReadonlyMap<string, Uint8Array> = new Map([
  ['manifest.json', Buffer.from('{"updates":[],"migrations":{}}\n')],
  ['demo-os-metal-x86_64-1.2.0-0a1b2c3d-root.ext4.zst', noise(3 * 1024 * 1024 + 17)],
  ['demo-os-metal-x86_64-1.2.0+build.5-boot.ext4.lz4', noise(70_000)],
]);

/** Bytes that do not compress and are the same in every run. */
function noise(lengthBytes: number): Uint8Array {
  return createHash('shake256', { outputLength: lengthBytes }).update('gantry').digest();
}

function publishedName(target: string, bytes: Uint8Array): string {
  return `${sha256Hex(bytes)}.${target}`;
}

interface Keys {
  readonly roots: readonly [Signer, Signer, Signer];
  /** Takes the place of the first root key in version 2. */
  readonly newRoot: Signer;
  readonly targets: Signer;
  readonly snapshot: Signer;
  readonly timestamp: Signer;
}

async function makeKeys(): Promise<Keys> {
  const make = async (type: 'ed25519' | 'ecdsa' | 'rsa'): Promise<Signer> => signerFromKeyObject(await generatePrivateKey(type));
  return {
    roots: [await make('ed25519'), await make('ecdsa'), await make('rsa')],
    newRoot: await make('ecdsa'),
    targets: await make('rsa'),
    snapshot: await make('ecdsa'),
    timestamp: await make('ed25519'),
  };
}

async function seal<R extends Role>(role: R, signers: readonly Signer[]): Promise<SignedRole<R>> {
  assertPortable(role);
  const payload = signingPayload(role);
  return sealEnvelope({ signed: role, signatures: await Promise.all(signers.map((signer) => signer.sign(payload))) });
}

type Publish = (name: string, role: SignedRole) => Promise<void>;

async function writeRoots(publish: Publish, keys: Keys): Promise<void> {
  const [retired, ...kept] = keys.roots;
  const first = rootRole(1, keys.roots, keys);
  await publish('1.root.json', await seal(first, [retired, kept[0]]));
  const second = rootRole(2, [...kept, keys.newRoot], keys);
  // Two of the old root's keys and two of the new one's: the threshold of both.
  await publish('2.root.json', await seal(second, kept));
}

function rootRole(version: number, roots: readonly Signer[], keys: Keys): Root {
  const roleKeys = (signers: readonly Signer[], threshold: number): RoleKeys => ({
    keyids: signers.map((signer) => signer.keyId),
    threshold,
  });
  const everyone = [...roots, keys.targets, keys.snapshot, keys.timestamp];
  const published: Record<KeyId, PublicKey> = Object.fromEntries(everyone.map(({ keyId, key }) => [keyId, key]));
  return {
    ...SPEC,
    _type: 'root',
    version,
    consistent_snapshot: true,
    keys: published,
    roles: {
      root: roleKeys(roots, 2),
      targets: roleKeys([keys.targets], 1),
      snapshot: roleKeys([keys.snapshot], 1),
      timestamp: roleKeys([keys.timestamp], 1),
    },
  };
}

async function writeRoles(publish: Publish, keys: Keys): Promise<void> {
  const listed: Record<string, TargetFile> = {};
  for (const [name, bytes] of TARGETS) {
    listed[name] = { length: bytes.length, hashes: { sha256: sha256Hex(bytes) } };
  }
  const targets = await seal({ ...SPEC, _type: 'targets', version: VERSIONS.targets, targets: listed }, [keys.targets]);
  await publish(`${VERSIONS.targets}.targets.json`, targets);
  const snapshot = await seal({ ...SPEC, _type: 'snapshot', version: VERSIONS.snapshot, meta: { 'targets.json': metaFile(targets) } }, [
    keys.snapshot,
  ]);
  await publish(`${VERSIONS.snapshot}.snapshot.json`, snapshot);
  const timestamp = await seal(
    { ...SPEC, _type: 'timestamp', version: VERSIONS.timestamp, meta: { 'snapshot.json': metaFile(snapshot) } },
    [keys.timestamp],
  );
  await publish('timestamp.json', timestamp);
}

function metaFile(signed: SignedRole): { version: number; length: number; hashes: { sha256: SignedRole['sha256'] } } {
  return { version: signed.role.version, length: signed.lengthBytes, hashes: { sha256: signed.sha256 } };
}
