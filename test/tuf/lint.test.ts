/** Each rule of the portability lint is broken once, by the smallest change to a clean repository, and found by its number. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { before, describe, test } from 'node:test';
import type { LintFinding } from '../../lib/errors.ts';
import { generatePrivateKey } from '../../lib/keys/generate.ts';
import { signerFromKeyObject } from '../../lib/keys/key-signer.ts';
import type { Signer } from '../../lib/keys/signer.ts';
import { tufDate } from '../../lib/tuf/date.ts';
import { exampleKeyIds } from '../../lib/tuf/example-keys.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import { keyIdOf } from '../../lib/tuf/key.ts';
import { assertPortable, lintRepository, lintRole, type RepositoryFiles } from '../../lib/tuf/lint.ts';
import { sealEnvelope, signingPayload } from '../../lib/tuf/role.ts';
import type { KeyId, PublicKey, Role, Root, SignedRole, Snapshot, Targets, Timestamp } from '../../lib/tuf/types.ts';

type Loose = Record<string, unknown>;

let root: Root;
let targets: Targets;
let team: Targets;
let snapshot: Snapshot;
let timestamp: Timestamp;
let files: RepositoryFiles;
let signers: readonly Signer[];

const common = { spec_version: '1.0.0', version: 1, expires: tufDate(new Date('2030-01-01T00:00:00Z')) } as const;
const file = { length: 3, hashes: { sha256: sha256Hex(Buffer.from('abc')) } };

async function seal<R extends Role>(signed: R, by: readonly Signer[]): Promise<SignedRole<R>> {
  return sealEnvelope({ signed, signatures: await Promise.all(by.map(async (signer) => signer.sign(signingPayload(signed)))) });
}

function meta(sealed: SignedRole): {
  readonly version: number;
  readonly length: number;
  readonly hashes: { readonly sha256: SignedRole['sha256'] };
} {
  return { version: sealed.role.version, length: sealed.lengthBytes, hashes: { sha256: sealed.sha256 } };
}

before(async () => {
  signers = await Promise.all(
    (['ed25519', 'ecdsa', 'rsa'] as const).map(async (type) => signerFromKeyObject(await generatePrivateKey(type))),
  );
  const [one, two, three] = signers;
  assert.ok(one && two && three);
  const keys = Object.fromEntries(signers.map(({ keyId, key }) => [keyId, key]));
  root = {
    _type: 'root',
    ...common,
    consistent_snapshot: true,
    keys,
    roles: {
      root: { keyids: [one.keyId, two.keyId], threshold: 2 },
      targets: { keyids: [one.keyId], threshold: 1 },
      snapshot: { keyids: [two.keyId], threshold: 1 },
      timestamp: { keyids: [three.keyId], threshold: 1 },
    },
  };
  const role = { name: 'team', keyids: [three.keyId], threshold: 1, terminating: true, paths: ['team-*'] };
  targets = {
    _type: 'targets',
    ...common,
    targets: { 'a-1.0.0+b.img': { ...file, custom: { deep: { list: [1, 'x', true] } } } },
    delegations: { keys: { [three.keyId]: three.key }, roles: [role] },
  };
  team = { _type: 'targets', ...common, targets: { 'team-a.img': file } };
  const sealedTargets = await seal(targets, [one]);
  const sealedTeam = await seal(team, [three]);
  snapshot = { _type: 'snapshot', ...common, meta: { 'targets.json': meta(sealedTargets), 'team.json': meta(sealedTeam) } };
  const sealedSnapshot = await seal(snapshot, [two]);
  timestamp = { _type: 'timestamp', ...common, meta: { 'snapshot.json': meta(sealedSnapshot) } };
  files = {
    roots: [await seal(root, [one, two])],
    timestamp: await seal(timestamp, [three]),
    snapshot: sealedSnapshot,
    targets: sealedTargets,
    delegated: [{ name: 'team', file: sealedTeam }],
  };
});

/** The role with one member changed; `undefined` takes it away. */
function changed<R extends Role>(role: R, path: readonly (string | number)[], value: unknown): R {
  const copy = structuredClone(role) as unknown as Loose;
  let at: Loose = copy;
  for (const step of path.slice(0, -1)) at = at[step] as Loose;
  const last = String(path.at(-1));
  if (value === undefined) delete at[last];
  else at[last] = value;
  return copy as unknown as R;
}

function assertFinds(findings: readonly LintFinding[], rule: number, severity: LintFinding['severity'] = 'error'): void {
  assert.ok(
    findings.some((finding) => finding.rule === rule && finding.severity === severity),
    `expected rule ${rule} (${severity}): ${JSON.stringify(findings)}`,
  );
}

test('a clean repository with every kind of key and a delegation has no findings', () => {
  assert.deepEqual(lintRepository(files), []);
  for (const role of [root, targets, snapshot, timestamp]) assert.doesNotThrow(() => assertPortable(role));
});

test('assertPortable() lets warnings pass and names the first error', () => {
  assert.doesNotThrow(() => assertPortable(changed(root, ['spec_version'], '1.0.31')));
  assert.throws(() => assertPortable(changed(targets, ['targets', 'a b'], file)), {
    code: 'tuf/not-portable',
    message: /^Cannot sign this targets role: rule \d+: targets/u,
  });
});

const target = ['targets', 'a-1.0.0+b.img'] as const;

/** What is changed, and the rule that must find it. */
const BREACHES: readonly (readonly [rule: number, what: string, broken: () => Role, severity?: LintFinding['severity']])[] = [
  [2, 'milliseconds', () => changed(root, ['expires'], '2030-01-01T00:00:00.000Z')],
  [2, 'an offset', () => changed(root, ['expires'], '2030-01-01T00:00:00+00:00')],
  [2, 'the end of the year 9999', () => changed(root, ['expires'], '9999-12-31T23:59:59Z')],
  [3, 'a spec version of two numbers', () => changed(targets, ['spec_version'], '1.0')],
  [3, 'a spec version 2', () => changed(targets, ['spec_version'], '2.0.0')],
  [3, 'a spec version that tuftool cannot edit', () => changed(targets, ['spec_version'], '1.0.31'), 'warning'],
  [4, 'version 0', () => changed(snapshot, ['version'], 0)],
  [4, 'a version beyond 2^53', () => changed(snapshot, ['version'], 2 ** 53)],
  [5, 'no consistent_snapshot', () => changed(root, ['consistent_snapshot'], undefined)],
  [5, 'consistent_snapshot false', () => changed(root, ['consistent_snapshot'], false)],
  [5, 'a mirrors role', () => changed(root, ['roles', 'mirrors'], { keyids: [signers[0]?.keyId], threshold: 1 })],
  [5, 'a missing role', () => changed(root, ['roles', 'snapshot'], undefined)],
  [
    6,
    'an unknown key type',
    () => changed(root, ['keys', 'ab'.repeat(32)], { keytype: 'sigstore-oidc', scheme: 'Fulcio', keyval: { public: 'x' } }),
  ],
  [6, 'an ECDSA P-384 key', () => changed(root, ['keys', 'ab'.repeat(32)], p384())],
  [6, 'an extra member of a key', () => withExtraMember(), 'warning'],
  [7, 'a key id that is not the digest', () => changed(root, ['keys', 'ab'.repeat(32)], signers[0]?.key)],
  [9, 'a repeated key id', () => changed(root, ['roles', 'root', 'keyids'], [signers[0]?.keyId, signers[0]?.keyId])],
  [9, 'a key id without a key', () => changed(root, ['roles', 'targets', 'keyids'], ['cd'.repeat(32)])],
  [9, 'a threshold above the keys', () => changed(root, ['roles', 'targets', 'threshold'], 2)],
  [9, 'a threshold of 0', () => changed(root, ['roles', 'targets', 'threshold'], 0)],
  [9, 'one key under two ids', () => changed(root, ['keys', 'ab'.repeat(32)], signers[0]?.key)],
  [10, 'sha512 beside sha256', () => changed(targets, [...target, 'hashes', 'sha512'], 'ab'.repeat(64))],
  [10, 'upper-case digits', () => changed(targets, [...target, 'hashes', 'sha256'], 'AB'.repeat(32))],
  [10, 'sha512 alone in a meta entry', () => changed(timestamp, ['meta', 'snapshot.json', 'hashes'], { sha512: 'ab'.repeat(64) })],
  [11, 'a meta entry without length', () => changed(timestamp, ['meta', 'snapshot.json', 'length'], undefined)],
  [11, 'a length of null', () => changed(snapshot, ['meta', 'targets.json', 'length'], null)],
  [11, 'a second entry in the timestamp', () => changed(timestamp, ['meta', 'root.json'], { version: 1 })],
  [11, 'a snapshot without targets.json', () => changed(snapshot, ['meta', 'targets.json'], undefined)],
  [11, 'root.json in the snapshot', () => changed(snapshot, ['meta', 'root.json'], { version: 1, ...file }), 'warning'],
  [12, 'an empty custom', () => changed(targets, [...target, 'custom'], {})],
  [12, 'a custom that is text', () => changed(targets, [...target, 'custom'], 'x')],
  [12, 'null in custom', () => changed(targets, [...target, 'custom', 'x'], null)],
  [12, 'a float in custom', () => changed(targets, [...target, 'custom', 'x'], 1.5)],
  [12, 'a target without length', () => changed(targets, [...target, 'length'], undefined)],
  ...['/a', '../a', 'a//b', './a', '.a', 'a b', 'a#b', 'a?b', 'a%41', 'a:b', 'ä'].map(
    (name) => [13, `the target name ${name}`, () => changed(targets, ['targets', name], file)] as const,
  ),
  [14, 'delegations of null', () => changed(targets, ['delegations'], null)],
  [14, 'delegations without keys', () => changed(targets, ['delegations', 'keys'], undefined)],
  [14, 'an unknown member of delegations', () => changed(targets, ['delegations', 'succinct_roles'], {})],
  [14, 'an unknown member of a delegated role', () => changed(targets, ['delegations', 'roles', 0, 'note'], 'x')],
  [14, 'a role name of digits', () => changed(targets, ['delegations', 'roles', 0, 'name'], '123')],
  [14, 'paths and hash prefixes', () => changed(targets, ['delegations', 'roles', 0, 'path_hash_prefixes'], ['00'])],
  [
    14,
    'hash prefixes',
    () =>
      changed(changed(targets, ['delegations', 'roles', 0, 'paths'], undefined), ['delegations', 'roles', 0, 'path_hash_prefixes'], ['00']),
    'warning',
  ],
  [14, 'terminating that is missing', () => changed(targets, ['delegations', 'roles', 0, 'terminating'], undefined)],
  [
    14,
    'a role twice',
    () =>
      changed(
        targets,
        ['delegations', 'roles'],
        [0, 1].map(() => targets.delegations?.roles[0]),
      ),
  ],
  ...['[ab]*', '{a,b}', '!a', '#a', '.a*'].map(
    (pattern) => [15, `the pattern ${pattern}`, () => changed(targets, ['delegations', 'roles', 0, 'paths'], [pattern])] as const,
  ),
  [15, 'a star in front of a slash', () => changed(targets, ['delegations', 'roles', 0, 'paths'], ['*/a']), 'warning'],
  [18, 'a float', () => changed(root, ['x'], 1.5)],
  [18, 'an integer beyond 2^53', () => changed(root, ['x'], 2 ** 60)],
  [18, 'text that is not NFC', () => changed(root, ['x'], 'u\u0308')],
  [18, 'a member name with a blank', () => changed(root, ['a b'], 1)],
  [18, 'a member name with "!"', () => changed(root, ['a!'], 1)],
  [18, 'a member name with a quote', () => changed(root, ['a"'], 1)],
  [18, 'a member name beyond U+FFFF', () => changed(root, ['😀'], 1)],
  [18, 'a member name that is not NFC', () => changed(root, ['u\u0308'], 1)],
];

function p384(): PublicKey {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  return { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256', keyval: { public: publicKey.export({ format: 'pem', type: 'spki' }) } };
}

function withExtraMember(): Root {
  const key = { ...signers[0]?.key, name: 'Ana' } as unknown as PublicKey;
  return changed(root, ['keys', keyIdOf(key)], key);
}

describe('lintRole()', () => {
  for (const [rule, what, broken, severity] of BREACHES) {
    test(`finds ${what} by rule ${rule}`, () => {
      assertFinds(lintRole(broken()), rule, severity);
    });
  }

  test('warns of an example key by rule 6', () => {
    const [id = ''] = exampleKeyIds;
    assert.match(id, /^[0-9a-f]{64}$/u);
    assert.equal(exampleKeyIds.size, 5);
  });
});

describe('lintRepository()', () => {
  async function resealed<R extends Role>(role: R, by: number): Promise<SignedRole<R>> {
    const signer = signers[by];
    assert.ok(signer !== undefined);
    return seal(role, [signer]);
  }

  test('finds a signature over other bytes by rule 1', async () => {
    const { signatures } = await resealed(timestamp, 2);
    const other = sealEnvelope({ signed: { ...timestamp, version: 2 }, signatures });
    assertFinds(lintRepository({ ...files, timestamp: other }), 1);
  });

  test('finds a gap in the root chain by rule 4, and a chain that does not start at 1 by rule 16', async () => {
    const [one, two] = signers;
    assert.ok(one && two && files.roots[0]);
    const third = await seal({ ...root, version: 3 }, [one, two]);
    assertFinds(lintRepository({ ...files, roots: [files.roots[0], third] }), 4);
    assertFinds(lintRepository({ ...files, roots: [third] }), 16);
  });

  test('finds signatures that are not hexadecimal, doubled, or by a stranger by rule 8', async () => {
    const good = await resealed(timestamp, 2);
    const [signature] = good.signatures;
    assert.ok(signature !== undefined);
    const withSignatures = (signatures: SignedRole['signatures']): RepositoryFiles => ({ ...files, timestamp: { ...good, signatures } });
    assertFinds(lintRepository(withSignatures([{ ...signature, sig: 'not hex' }])), 8);
    assertFinds(lintRepository(withSignatures([{ ...signature, sig: '' }])), 8);
    assertFinds(lintRepository(withSignatures([signature, signature])), 8);
    assertFinds(lintRepository({ ...files, timestamp: await resealed(timestamp, 0) }), 8);
  });

  test('finds a delegated role that the snapshot does not name by rule 11', async () => {
    assertFinds(lintRepository({ ...files, snapshot: await resealed(changed(snapshot, ['meta', 'team.json'], undefined), 1) }), 11);
  });

  test('finds a target outside of the delegated paths by rule 14', async () => {
    const outside = await resealed({ ...team, targets: { 'other.img': file } }, 2);
    assertFinds(lintRepository({ ...files, delegated: [{ name: 'team', file: outside }] }), 14);
  });

  test('finds a role with two parents by rule 14', async () => {
    const { delegations } = targets;
    assert.ok(delegations !== undefined);
    const parent = await resealed({ ...team, delegations }, 2);
    assertFinds(lintRepository({ ...files, delegated: [{ name: 'team', file: parent }] }), 14);
  });

  test('finds files that are too large and chains that are too long by rule 19', async () => {
    const large = await resealed(changed(timestamp, ['x'], 'x'.repeat(17_000)), 2);
    assertFinds(lintRepository({ ...files, timestamp: large }), 19);
    const [first] = files.roots;
    assert.ok(first !== undefined);
    const roots = Array.from({ length: 257 }, (_, index) => ({ ...first, role: { ...root, version: index + 1 } }));
    assertFinds(lintRepository({ ...files, roots }), 19);
  });
});

test('the key ids of this test are what metadata would hold', () => {
  for (const { key, keyId } of signers) assert.equal(keyIdOf(key), keyId satisfies KeyId);
});
