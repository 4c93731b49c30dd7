/**
 * A repository of any shape in memory, whose publisher holds every key and can make every file wrong: in what is signed, in who
 * signs it, in the envelope, in the bytes.
 *
 * Rules:
 * - `publish()` writes the named roles anew under their next versions, children before parents, so that what a parent says of a
 *   child is true unless a test wants it otherwise;
 * - the first root, targets, snapshot and timestamp are there when it is made; `files` is what a server serves, by path.
 */
import { canonicalize } from '@tufjs/canonical-json';
import { generatePrivateKey } from '../../lib/keys/generate.ts';
import { signerFromKeyObject } from '../../lib/keys/key-signer.ts';
import type { Signer } from '../../lib/keys/signer.ts';
import { tufDate } from '../../lib/tuf/date.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import type { DelegatedRole, MetaFile, RoleKeys, Root, Snapshot, TargetFile, Targets, Timestamp } from '../../lib/tuf/types.ts';
import { METADATA } from './simulator.ts';

/** What is signed, as it can be changed before. */
type Signed = Root | Targets | Snapshot | Timestamp;
export interface Envelope {
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
  readonly signed: object;
}

/** One way to make one file wrong. */
export interface Tamper<S extends Signed = Signed> {
  readonly signed?: (signed: S) => object;
  readonly signers?: readonly Signer[];
  readonly envelope?: (envelope: Envelope) => object;
  readonly bytes?: (bytes: Buffer) => Uint8Array;
  /** What its parent says of it. */
  readonly meta?: (meta: MetaFile) => object;
  /** Serve it under this name. */
  readonly file?: string;
}
/** By role; any name but the first four is a delegated role. */
export interface Tampering {
  readonly root?: Tamper<Root>;
  readonly timestamp?: Tamper<Timestamp>;
  readonly snapshot?: Tamper<Snapshot>;
  readonly targets?: Tamper<Targets>;
  readonly [delegated: string]: Tamper<never> | Tamper<Root> | Tamper<Timestamp> | Tamper<Snapshot> | Tamper<Targets> | undefined;
}

export interface Delegation extends Pick<DelegatedRole, 'name' | 'terminating' | 'paths' | 'path_hash_prefixes'> {
  readonly keys?: RoleKeys;
}

export interface WorldRole {
  version: number;
  expires: Date;
  signers: readonly Signer[];
  threshold: number;
  /** Listed by it, when it is a targets role. */
  readonly targets: Map<string, Uint8Array>;
  delegations: readonly Delegation[];
}

export interface World {
  readonly files: Map<string, Uint8Array>;
  role(name: string): WorldRole;
  /** Adds a role that `parent` delegates to. */
  delegate(parent: string, delegation: Delegation): Promise<WorldRole>;
  /** New versions of these roles, in this order whatever the order here: delegated, targets, snapshot, timestamp, root. */
  publish(tampering?: Tampering, roles?: readonly string[]): Promise<void>;
  /** The newest file of a role, or the one of this version. */
  metadata(file: string): Uint8Array;
  /** Published under `targets/`. */
  targetFile(path: string, content: Uint8Array): string;
  /** How a parent names a child: `version` leaves out length and digest. */
  metaStyle: 'full' | 'version';
}

const FAR = new Date('2100-01-01T00:00:00Z');
const TOP = ['targets', 'snapshot', 'timestamp'] as const;
export const MANIFEST: Buffer = Buffer.from('{"updates":[],"migrations":{}}\n');

export async function newSigner(type: 'ed25519' | 'ecdsa' | 'rsa' = 'ed25519'): Promise<Signer> {
  return signerFromKeyObject(await generatePrivateKey(type));
}

/** Two root keys that both must sign, one key for each other role, and a manifest. */
export async function createWorld(): Promise<World> {
  const world = new SimulatedWorld();
  await world.add('root', [await newSigner(), await newSigner()], 2);
  for (const name of TOP) await world.add(name, [await newSigner()], 1);
  world.role('targets').targets.set('manifest.json', MANIFEST);
  await world.publish({}, ['root', ...TOP]);
  return world;
}

class SimulatedWorld implements World {
  readonly files = new Map<string, Uint8Array>();
  metaStyle: World['metaStyle'] = 'full';
  readonly #roles = new Map<string, WorldRole>();
  /** What parents say, by file name. */
  readonly #meta = new Map<string, MetaFile | object>();

  async add(name: string, signers: readonly Signer[], threshold: number): Promise<WorldRole> {
    const role: WorldRole = { version: 0, expires: FAR, signers, threshold, targets: new Map(), delegations: [] };
    this.#roles.set(name, role);
    return role;
  }

  role(name: string): WorldRole {
    const role = this.#roles.get(name);
    if (role === undefined) throw new RangeError(`no role ${name}`);
    return role;
  }

  async delegate(parent: string, delegation: Delegation): Promise<WorldRole> {
    const role = this.#roles.get(delegation.name) ?? (await this.add(delegation.name, [await newSigner()], 1));
    const delegator = this.role(parent);
    delegator.delegations = [...delegator.delegations, delegation];
    return role;
  }

  metadata(file: string): Uint8Array {
    const bytes = this.files.get(METADATA + file);
    if (bytes === undefined) throw new RangeError(`nothing is published as ${file}`);
    return bytes;
  }

  targetFile(path: string, content: Uint8Array): string {
    const at = path.lastIndexOf('/') + 1;
    return `targets/${path.slice(0, at)}${sha256Hex(content)}.${path.slice(at)}`;
  }

  async publish(tampering: Tampering = {}, roles: readonly string[] = this.#allButRoot()): Promise<void> {
    const delegated = roles.filter((name) => name !== 'root' && !TOP.some((top) => top === name));
    for (const name of [...delegated, ...TOP.filter((top) => roles.includes(top)), ...roles.filter((each) => each === 'root')]) {
      // The table's types say which role each entry is for.
      await this.#write(name, (tampering[name] ?? {}) as Tamper);
    }
  }

  #allButRoot(): readonly string[] {
    return [...this.#roles.keys()].filter((name) => name !== 'root');
  }

  async #write(name: string, tamper: Tamper): Promise<void> {
    const role = this.role(name);
    role.version += 1;
    for (const [path, content] of role.targets) this.files.set(this.targetFile(path, content), content);
    const honest = this.#signedOf(name, role);
    const signed = tamper.signed?.(honest) ?? honest;
    const payload = Buffer.from(canonicalize(signed));
    const signatures = await Promise.all((tamper.signers ?? role.signers).map(async (signer) => signer.sign(payload)));
    const envelope: Envelope = { signatures, signed };
    const text = JSON.stringify(tamper.envelope?.(envelope) ?? envelope, undefined, 1);
    const bytes = tamper.bytes?.(Buffer.from(text)) ?? Buffer.from(text);
    this.files.set(METADATA + (tamper.file ?? (name === 'timestamp' ? 'timestamp.json' : `${role.version}.${name}.json`)), bytes);
    // A parent tells the truth of bytes that are wrong only when somebody with its key wanted it so.
    const told = tamper.bytes === undefined ? bytes : Buffer.from(text);
    const full = { version: role.version, length: told.length, hashes: { sha256: sha256Hex(told) } };
    const meta: MetaFile = this.metaStyle === 'full' ? full : { version: role.version };
    this.#meta.set(`${name}.json`, tamper.meta?.(meta) ?? meta);
  }

  #signedOf(name: string, role: WorldRole): Signed {
    const common = { spec_version: '1.0.0', version: role.version, expires: tufDate(role.expires) };
    if (name === 'root') return { ...common, _type: 'root', consistent_snapshot: true, ...this.#rootMembers() };
    if (name === 'timestamp') return { ...common, _type: 'timestamp', meta: { 'snapshot.json': this.#metaOf('snapshot.json') } };
    if (name === 'snapshot') return { ...common, _type: 'snapshot', meta: this.#targetsMeta() };
    const targets: Record<string, TargetFile> = {};
    for (const [path, content] of role.targets) targets[path] = { length: content.length, hashes: { sha256: sha256Hex(content) } };
    const { delegations } = role;
    return { ...common, _type: 'targets', targets, ...(delegations.length === 0 ? {} : { delegations: this.#delegationsOf(role) }) };
  }

  #rootMembers(): Pick<Root, 'keys' | 'roles'> {
    const everyone = ['root', ...TOP].flatMap((name) => this.role(name).signers);
    return {
      keys: Object.fromEntries(everyone.map(({ keyId, key }) => [keyId, key])),
      roles: {
        root: this.#keysOf('root'),
        timestamp: this.#keysOf('timestamp'),
        snapshot: this.#keysOf('snapshot'),
        targets: this.#keysOf('targets'),
      },
    };
  }

  #delegationsOf({ delegations }: WorldRole): NonNullable<Targets['delegations']> {
    const signers = delegations.flatMap(({ name }) => this.role(name).signers);
    return {
      keys: Object.fromEntries(signers.map(({ keyId, key }) => [keyId, key])),
      roles: delegations.map(({ keys, ...rest }) => ({ ...(keys ?? this.#keysOf(rest.name)), ...rest })),
    };
  }

  #keysOf(name: string): RoleKeys {
    const { signers, threshold } = this.role(name);
    return { keyids: signers.map(({ keyId }) => keyId), threshold };
  }

  #targetsMeta(): Record<string, MetaFile> {
    const names = [...this.#meta.keys()].filter((file) => !['root.json', 'snapshot.json', 'timestamp.json'].includes(file));
    return Object.fromEntries(names.map((file) => [file, this.#metaOf(file)]));
  }

  /** What a test made of it may be no such thing. */
  #metaOf(file: string): MetaFile {
    return (this.#meta.get(file) ?? { version: 1 }) as MetaFile;
  }
}
