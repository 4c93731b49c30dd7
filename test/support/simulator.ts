/**
 * A repository in memory whose publisher holds every key: it publishes what is right, and signs whatever a test wants to be wrong.
 * `files` is what a server serves, by path without a leading slash.
 */
import { collect } from './bytes.ts';
import { generatePrivateKey } from '../../lib/keys/generate.ts';
import { signerFromKeyObject } from '../../lib/keys/key-signer.ts';
import type { Signer } from '../../lib/keys/signer.ts';
import { encodeFrameTable, type Frame } from '../../lib/image/frame-table.ts';
import { compressLz4 } from '../../lib/image/lz4.ts';
import { compressFrames } from '../../lib/image/zstd.ts';
import { imageCustom } from '../../lib/release/custom.ts';
import { tufDate } from '../../lib/tuf/date.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import { sealEnvelope } from '../../lib/tuf/role.ts';
import { signingPayload } from '../../lib/tuf/payload.ts';
import { TargetPath } from '../../lib/tuf/target-path.ts';
import type {
  JsonObject,
  MetaFile,
  Role,
  RoleKeys,
  Root,
  SignedRole,
  Snapshot,
  TargetFile,
  Targets,
  Timestamp,
} from '../../lib/tuf/types.ts';

export const METADATA = 'metal/x86_64/';
const FAR = new Date('2100-01-01T00:00:00Z');

export interface Signers {
  readonly roots: readonly Signer[];
  readonly targets: Signer;
  readonly online: Signer;
}

interface Content {
  readonly bytes: Uint8Array;
  readonly custom?: JsonObject;
}

export interface Simulator {
  readonly files: Map<string, Uint8Array>;
  readonly targets: Map<string, Content>;
  readonly versions: Record<'root' | 'targets' | 'snapshot' | 'timestamp', number>;
  signers: Signers;
  /** Of the roles that are published from now on. */
  expires: Date;
  /** The root as it would be published now. */
  rootRole(): Root;
  /** Publishes the next root, signed by these; by default by two of the current ones. */
  publishRoot(signers?: readonly Signer[], change?: (root: Root) => Root): Promise<SignedRole<Root>>;
  /** Publishes the targets under new versions of the three other roles. */
  publish(): Promise<void>;
  /** Publishes one file of metadata. */
  put(file: string, role: Role, signers: readonly Signer[]): Promise<SignedRole>;
  addImage(name: string, raw: Uint8Array, format: 'zstd-frames' | 'lz4'): Promise<void>;
  /** Where the server has this target. */
  targetFile(name: string): string;
  metadata(file: string): Uint8Array;
}

export async function newSigner(): Promise<Signer> {
  return signerFromKeyObject(await generatePrivateKey('ed25519'));
}

/** A first root, nothing else. */
export async function createSimulator(): Promise<Simulator> {
  const simulator: Simulator = {
    files: new Map(),
    targets: new Map(),
    versions: { root: 0, targets: 0, snapshot: 0, timestamp: 0 },
    signers: { roots: [await newSigner(), await newSigner(), await newSigner()], targets: await newSigner(), online: await newSigner() },
    expires: FAR,
    rootRole: () => rootRole(simulator),
    async publishRoot(signers = simulator.signers.roots.slice(0, 2), change = (root) => root) {
      simulator.versions.root += 1;
      const role = change(rootRole(simulator));
      const signed = await seal(role, signers);
      simulator.files.set(`${METADATA}${simulator.versions.root}.root.json`, signed.bytes);
      return signed;
    },
    publish: async () => publish(simulator),
    async put(file, role, signers) {
      const signed = await seal(role, signers);
      simulator.files.set(METADATA + file, signed.bytes);
      return signed;
    },
    addImage: async (name, raw, format) => addImage(simulator, name, raw, format),
    targetFile(name) {
      return `targets/${TargetPath.parse(name).publishedName(sha256Hex(contentOf(simulator, name).bytes))}`;
    },
    metadata(file) {
      const bytes = simulator.files.get(METADATA + file);
      if (bytes === undefined) throw new RangeError(`nothing is published as ${file}`);
      return bytes;
    },
  };
  await simulator.publishRoot();
  return simulator;
}

/** A first root and one publication of a manifest. */
export async function createRepository(): Promise<Simulator> {
  const simulator = await createSimulator();
  simulator.targets.set('manifest.json', { bytes: Buffer.from('{"updates":[],"migrations":{}}\n') });
  await simulator.publish();
  return simulator;
}

function contentOf(simulator: Simulator, name: string): Content {
  const content = simulator.targets.get(name);
  if (content === undefined) throw new RangeError(`no target ${name}`);
  return content;
}

export async function seal<R extends Role>(role: R, signers: readonly Signer[]): Promise<SignedRole<R>> {
  const payload = signingPayload(role);
  const signatures = await Promise.all(signers.map(async (signer) => signer.sign(payload)));
  return sealEnvelope({ signed: role, signatures });
}

function rootRole({ signers, versions, expires }: Simulator): Root {
  const roleKeys = (keys: readonly Signer[], threshold: number): RoleKeys => ({ keyids: keys.map(({ keyId }) => keyId), threshold });
  const online = roleKeys([signers.online], 1);
  const everyone = [...signers.roots, signers.targets, signers.online];
  return {
    _type: 'root',
    spec_version: '1.0.0',
    version: versions.root,
    expires: tufDate(expires),
    consistent_snapshot: true,
    keys: Object.fromEntries(everyone.map(({ keyId, key }) => [keyId, key])),
    roles: { root: roleKeys(signers.roots, 2), targets: roleKeys([signers.targets], 1), snapshot: online, timestamp: online },
  };
}

export function metaOf(signed: SignedRole): MetaFile {
  return { version: signed.role.version, length: signed.lengthBytes, hashes: { sha256: signed.sha256 } };
}

export function targetsRole(simulator: Simulator): Targets {
  const listed: Record<string, TargetFile> = {};
  for (const [name, { bytes, custom }] of simulator.targets) {
    listed[name] = { length: bytes.length, hashes: { sha256: sha256Hex(bytes) }, ...(custom === undefined ? {} : { custom }) };
  }
  return { ...commonOf(simulator, simulator.versions.targets), _type: 'targets', targets: listed };
}

export function snapshotRole(simulator: Simulator, targets: SignedRole): Snapshot {
  return { ...commonOf(simulator, simulator.versions.snapshot), _type: 'snapshot', meta: { 'targets.json': metaOf(targets) } };
}

export function timestampRole(simulator: Simulator, snapshot: SignedRole): Timestamp {
  return { ...commonOf(simulator, simulator.versions.timestamp), _type: 'timestamp', meta: { 'snapshot.json': metaOf(snapshot) } };
}

function commonOf({ expires }: Simulator, version: number): Pick<Targets, 'spec_version' | 'version' | 'expires'> {
  return { spec_version: '1.0.0', version, expires: tufDate(expires) };
}

async function publish(simulator: Simulator): Promise<void> {
  const { versions, signers } = simulator;
  versions.targets += 1;
  versions.snapshot += 1;
  versions.timestamp += 1;
  for (const [name, { bytes }] of simulator.targets) simulator.files.set(simulator.targetFile(name), bytes);
  const targets = await simulator.put(`${versions.targets}.targets.json`, targetsRole(simulator), [signers.targets]);
  const snapshot = await simulator.put(`${versions.snapshot}.snapshot.json`, snapshotRole(simulator, targets), [signers.online]);
  await simulator.put('timestamp.json', timestampRole(simulator, snapshot), [signers.online]);
}

async function addImage(simulator: Simulator, name: string, raw: Uint8Array, format: 'zstd-frames' | 'lz4'): Promise<void> {
  const measured = { lengthBytes: raw.length, sha256: sha256Hex(raw) };
  if (format === 'lz4') {
    const bytes = await collect(compressLz4(chunksOf(raw), { contentSizeBytes: raw.length }));
    simulator.targets.set(name, { bytes, custom: imageCustom({ format, raw: measured }) });
    return;
  }
  const frames: Frame[] = [];
  const bytes = await collect(compressFrames(chunksOf(raw), { level: 1, onFrame: (frame) => frames.push(frame) }));
  const table = `${name}.frames`;
  simulator.targets.set(name, { bytes, custom: imageCustom({ format, frames: table, raw: measured }) });
  simulator.targets.set(table, { bytes: encodeFrameTable({ raw: measured, frames }) });
}

export async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  for (let start = 0; start < bytes.length; start += 300_000) yield bytes.subarray(start, start + 300_000);
}
