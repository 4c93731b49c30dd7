/** A clean repository with every kind of key and a delegation, for tests that break one thing in it. */
import assert from 'node:assert/strict';
import type { LintFinding } from '../../lib/errors.ts';
import { generatePrivateKey } from '../../lib/keys/generate.ts';
import { signerFromKeyObject } from '../../lib/keys/key-signer.ts';
import type { Signer } from '../../lib/keys/signer.ts';
import { canonicalBytesAsRead } from '../../lib/tuf/canonical.ts';
import { tufDate } from '../../lib/tuf/date.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import type { RepositoryFiles } from '../../lib/tuf/lint.ts';
import { sealEnvelope } from '../../lib/tuf/role.ts';
import type { Delegations, MetaFile, Role, Root, SignedRole, Snapshot, TargetFile, Targets, Timestamp } from '../../lib/tuf/types.ts';

export interface Scene {
  /** ed25519, ECDSA and RSA; the first signs targets, the second the snapshot, the third the timestamp and the role `team`. */
  readonly signers: readonly [Signer, Signer, Signer];
  readonly root: Root;
  readonly targets: Targets & { readonly delegations: Delegations };
  readonly team: Targets;
  readonly snapshot: Snapshot;
  readonly timestamp: Timestamp;
  /** All of it, signed. */
  readonly files: RepositoryFiles;
}

const COMMON = { spec_version: '1.0.0', version: 1, expires: tufDate(new Date('2030-01-01T00:00:00Z')) } as const;
export const TARGET: TargetFile = { length: 3, hashes: { sha256: sha256Hex(Buffer.from('abc')) } };

/** Signs whatever it is given, also what a signer of ours would refuse. */
export async function seal<R extends Role>(signed: R, by: readonly Signer[]): Promise<SignedRole<R>> {
  const payload = canonicalBytesAsRead(signed);
  return sealEnvelope({ signed, signatures: await Promise.all(by.map(async (signer) => signer.sign(payload))) });
}

export function metaOf(sealed: SignedRole): MetaFile {
  return { version: sealed.role.version, length: sealed.lengthBytes, hashes: { sha256: sealed.sha256 } };
}

async function makeSigner(type: 'ed25519' | 'ecdsa' | 'rsa'): Promise<Signer> {
  return signerFromKeyObject(await generatePrivateKey(type));
}

export async function makeScene(): Promise<Scene> {
  const signers = await Promise.all([makeSigner('ed25519'), makeSigner('ecdsa'), makeSigner('rsa')]);
  const [one, two, three] = signers;
  const root = rootOf(signers);
  const role = { name: 'team', keyids: [three.keyId], threshold: 1, terminating: true, paths: ['team-*'] };
  const targets = {
    _type: 'targets' as const,
    ...COMMON,
    targets: { 'a-1.0.0+b.img': { ...TARGET, custom: { deep: { list: [1, 'x', true] } } } },
    delegations: { keys: { [three.keyId]: three.key }, roles: [role] },
  };
  const team: Targets = { _type: 'targets', ...COMMON, targets: { 'team-a.img': TARGET } };
  const sealedTargets = await seal<Targets>(targets, [one]);
  const sealedTeam = await seal(team, [three]);
  const snapshot: Snapshot = {
    _type: 'snapshot',
    ...COMMON,
    meta: { 'targets.json': metaOf(sealedTargets), 'team.json': metaOf(sealedTeam) },
  };
  const sealedSnapshot = await seal(snapshot, [two]);
  const timestamp: Timestamp = { _type: 'timestamp', ...COMMON, meta: { 'snapshot.json': metaOf(sealedSnapshot) } };
  const files = {
    roots: [await seal(root, [one, two])],
    timestamp: await seal(timestamp, [three]),
    snapshot: sealedSnapshot,
    targets: sealedTargets,
    delegated: [{ name: 'team', file: sealedTeam }],
  };
  return { signers, root, targets, team, snapshot, timestamp, files };
}

function rootOf([one, two, three]: Scene['signers']): Root {
  return {
    _type: 'root',
    ...COMMON,
    consistent_snapshot: true,
    keys: Object.fromEntries([one, two, three].map(({ keyId, key }) => [keyId, key])),
    roles: {
      root: { keyids: [one.keyId, two.keyId], threshold: 2 },
      targets: { keyids: [one.keyId], threshold: 1 },
      snapshot: { keyids: [two.keyId], threshold: 1 },
      timestamp: { keyids: [three.keyId], threshold: 1 },
    },
  };
}

/** The role with one member changed; `undefined` takes it away. */
export function changed<R extends Role>(role: R, path: readonly (string | number)[], value: unknown): R {
  const copy: unknown = structuredClone(role);
  let at = copy as Record<string, unknown>;
  for (const step of path.slice(0, -1)) at = at[step] as Record<string, unknown>;
  const last = String(path.at(-1));
  if (value === undefined) delete at[last];
  else at[last] = value;
  return copy as R;
}

/** Every finding is of these rules and this severity, each rule is found, and each finding says who stumbles or what is expected. */
export function assertFinds(findings: readonly LintFinding[], rules: readonly number[], severity: LintFinding['severity'] = 'error'): void {
  const shown = JSON.stringify(findings);
  assert.deepEqual(new Set(findings.map(({ rule }) => rule)), new Set(rules.map((number) => `tuf-${number}`)), shown);
  for (const finding of findings) {
    assert.equal(finding.severity, severity, shown);
    assert.match(finding.message, /tough|tuf-js|python-tuf|go-tuf|tuftool|client|everybody|host/u);
  }
}
