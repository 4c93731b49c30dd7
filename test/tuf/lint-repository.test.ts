/** What only shows between the files of a repository: signatures, the root chain, sizes, the tree of delegations. */
import assert from 'node:assert/strict';
import { constants, createHash, generateKeyPairSync, sign } from 'node:crypto';
import { before, describe, test } from 'node:test';
import { generatePrivateKey } from '../../lib/keys/generate.ts';
import { signerFromKeyObject } from '../../lib/keys/key-signer.ts';
import type { Signer } from '../../lib/keys/signer.ts';
import { keyIdOf, publicKeyFromKeyObject } from '../../lib/tuf/key.ts';
import { lintRepository, type RepositoryFiles } from '../../lib/tuf/lint.ts';
import { readSignedRole, sealEnvelope } from '../../lib/tuf/role.ts';
import { signingPayload } from '../../lib/tuf/payload.ts';
import type { Role, Root, SignedRole, Snapshot, Targets, Timestamp } from '../../lib/tuf/types.ts';
import { assertFinds, changed, makeScene, metaOf, seal, TARGET, type Scene } from './scene.ts';

let scene: Scene;

before(async () => {
  scene = await makeScene();
});

/** The repository with other files, and the digests above them put right. */
async function republished(changes: {
  targets?: Targets;
  team?: Targets;
  meta?: (meta: Snapshot['meta']) => unknown;
}): Promise<RepositoryFiles> {
  const [one, two, three] = scene.signers;
  const targets = await seal(changes.targets ?? scene.targets, [one]);
  const team = await seal(changes.team ?? scene.team, [three]);
  const meta = { 'targets.json': metaOf(targets), 'team.json': metaOf(team) };
  const snapshot = await seal(changed(scene.snapshot, ['meta'], changes.meta?.(meta) ?? meta), [two]);
  const timestamp = await seal(changed(scene.timestamp, ['meta', 'snapshot.json'], metaOf(snapshot)), [three]);
  return { ...scene.files, timestamp, snapshot, targets, delegated: [{ name: 'team', file: team }] };
}

function withTimestamp(timestamp: SignedRole<Timestamp>): RepositoryFiles {
  return { ...scene.files, timestamp };
}

function withSignatures(...signatures: SignedRole['signatures']): RepositoryFiles {
  return withTimestamp(sealEnvelope({ signed: scene.timestamp, signatures }));
}

describe('signatures', () => {
  test('one over other bytes is found by rule 1', async () => {
    const { signatures } = await seal(scene.timestamp, [scene.signers[2]]);
    assertFinds(lintRepository(withTimestamp(sealEnvelope({ signed: { ...scene.timestamp, version: 2 }, signatures }))), [1]);
  });

  test('ones that are not hexadecimal, in upper case, doubled, by a stranger or missing are found by rule 8', async () => {
    const [one, , three] = scene.signers;
    const [signature, stranger] = await Promise.all([three, one].map(async (signer) => signer.sign(signingPayload(scene.timestamp))));
    assert.ok(signature !== undefined && stranger !== undefined);
    assertFinds(lintRepository(withSignatures({ ...signature, sig: 'not hex' })), [8]);
    assertFinds(lintRepository(withSignatures({ ...signature, sig: signature.sig.toUpperCase() })), [8]);
    assertFinds(lintRepository(withSignatures(signature, signature)), [8]);
    assertFinds(lintRepository(withSignatures(signature, stranger)), [8]);
    assertFinds(lintRepository(withSignatures()), [8]);
  });

  test('an empty one is a warning of rule 8, and does not count', async () => {
    const root = scene.files.roots[0];
    assert.ok(root !== undefined);
    const [one, two, three] = scene.signers;
    const roles = { ...scene.root.roles, root: { keyids: [one.keyId, two.keyId, three.keyId], threshold: 2 } };
    const signed = await seal({ ...scene.root, roles }, [one, two]);
    const withEmpty = sealEnvelope({ signed: signed.role, signatures: [...signed.signatures, { keyid: three.keyId, sig: '' }] });
    assertFinds(lintRepository({ ...scene.files, roots: [withEmpty] }), [8], 'warning');
    const findings = lintRepository(withSignatures({ keyid: three.keyId, sig: '' }));
    assert.deepEqual(
      findings.map(({ rule, severity }) => [rule, severity]),
      [
        ['tuf-8', 'warning'],
        ['tuf-8', 'error'],
      ],
    );
  });

  test('a form that some client refuses is found by rule 8', () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
    const ecdsa = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const ed25519 = generateKeyPairSync('ed25519').privateKey;
    const pss = (saltLength: number): object => ({ key: rsa, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
    const forms = [
      [rsa, pss(0)],
      [rsa, pss(20)],
      [rsa, pss(constants.RSA_PSS_SALTLEN_MAX_SIGN)],
      [rsa, { key: rsa }],
      [ecdsa, { key: ecdsa, dsaEncoding: 'ieee-p1363' }],
    ] as const;
    const payload = signingPayload(scene.timestamp);
    const signed = forms.map(([key, form]) => [key, sign('sha256', payload, { key, ...form })] as const);
    for (const [key, sig] of [...signed, [ed25519, Buffer.alloc(65)] as const]) {
      const publicKey = publicKeyFromKeyObject(key);
      const keyid = keyIdOf(publicKey);
      const root = changed(changed(scene.root, ['keys', keyid], publicKey), ['roles', 'timestamp', 'keyids'], [keyid]);
      const timestamp = sealEnvelope({ signed: scene.timestamp, signatures: [{ keyid, sig: sig.toString('hex') }] });
      assertFinds(
        lintRepository({ roots: [sealEnvelope({ signed: root, signatures: [] })], timestamp }).filter(({ at }) => at.startsWith('time')),
        [8],
      );
    }
  });

  test('those of a delegated role with hash prefixes are looked at too', async () => {
    const prefix = createHash('sha256').update('team-a.img').digest('hex').slice(0, 2);
    const files = await republished({ targets: delegating({ paths: undefined, path_hash_prefixes: [prefix] }) });
    assertFinds(lintRepository(files), [14], 'warning');
    const unsigned = sealEnvelope({ signed: scene.team, signatures: [] });
    const found = lintRepository({ ...files, delegated: [{ name: 'team', file: unsigned }] });
    assert.deepEqual(
      found.filter(({ rule }) => rule === 'tuf-8').map(({ at }) => at),
      ['team.signatures'],
    );
  });
});

/** The targets with its one delegation changed. */
function delegating(change: Record<string, unknown>): Targets {
  const [role] = scene.targets.delegations.roles;
  const merged: unknown = Object.fromEntries(Object.entries({ ...role, ...change }).filter(([, value]) => value !== undefined));
  return changed(scene.targets, ['delegations', 'roles'], [merged]);
}

describe('the root chain', () => {
  async function root(
    version: number,
    by: readonly Signer[] = scene.signers.slice(0, 2),
    change: Partial<Root> = {},
  ): Promise<SignedRole<Root>> {
    return seal({ ...scene.root, version, ...change }, by);
  }

  test('a gap and a step back are found by rule 4', async () => {
    assertFinds(lintRepository({ ...scene.files, roots: [await root(1), await root(3)] }), [4]);
    assertFinds(lintRepository({ ...scene.files, roots: [await root(1), await root(1)] }), [4]);
  });

  test('a chain that does not start at 1 is found by rule 16', async () => {
    assertFinds(lintRepository({ ...scene.files, roots: [await root(2)] }), [16]);
  });

  test('a root that its predecessor did not sign is found by rule 8', async () => {
    const others = await Promise.all([0, 1].map(async () => signerFromKeyObject(await generatePrivateKey('ed25519'))));
    const keys = { ...scene.root.keys, ...Object.fromEntries(others.map(({ keyId, key }) => [keyId, key])) };
    const roles = { ...scene.root.roles, root: { keyids: others.map(({ keyId }) => keyId), threshold: 2 } };
    const own = await root(2, others, { keys, roles });
    assertFinds(lintRepository({ ...scene.files, roots: [await root(1), own] }), [8]);
    const both = await root(2, [...others, ...scene.signers.slice(0, 2)], { keys, roles });
    assert.deepEqual(lintRepository({ ...scene.files, roots: [await root(1), both] }), []);
  });

  test('more than 256 roots are found by rule 19', async () => {
    const signers = await Promise.all([0, 1].map(async () => signerFromKeyObject(await generatePrivateKey('ed25519'))));
    const keys = { ...scene.root.keys, ...Object.fromEntries(signers.map(({ keyId, key }) => [keyId, key])) };
    const roles = { ...scene.root.roles, root: { keyids: signers.map(({ keyId }) => keyId), threshold: 1 } };
    const roots = await Promise.all(Array.from({ length: 257 }, async (_, index) => root(index + 1, signers.slice(0, 1), { keys, roles })));
    assert.deepEqual(lintRepository({ ...scene.files, roots: roots.slice(0, 256) }), []);
    assertFinds(lintRepository({ ...scene.files, roots }), [19]);
  });
});

describe('what files say of each other', () => {
  test("a version, length or digest that is not the file's is found by rule 11", async () => {
    const snapshot = metaOf(await seal(scene.snapshot, [scene.signers[1]]));
    for (const wrong of [{ version: 2 }, { length: 7 }, { hashes: TARGET.hashes }]) {
      const entry = { ...snapshot, ...metaOf(scene.files.snapshot ?? (await seal(scene.snapshot, []))), ...wrong };
      const timestamp = await seal(changed(scene.timestamp, ['meta', 'snapshot.json'], entry), [scene.signers[2]]);
      assertFinds(lintRepository(withTimestamp(timestamp)), [11]);
    }
  });

  test('a delegated role that the snapshot does not name is found by rule 11', async () => {
    assertFinds(lintRepository(await republished({ meta: (meta) => ({ 'targets.json': meta['targets.json'] }) })), [11]);
  });

  test('a target outside of what was delegated is found by rule 14', async () => {
    const team: Targets = { ...scene.team, targets: { 'other.img': TARGET } };
    assertFinds(lintRepository(await republished({ team })), [14]);
    const prefixes = await republished({ team, targets: delegating({ paths: undefined, path_hash_prefixes: ['zz'] }) });
    assert.ok(lintRepository(prefixes).some(({ rule, at }) => rule === 'tuf-14' && at === 'team'));
  });

  test('a role with two parents, and a cycle, are found by rule 14', async () => {
    const { delegations } = scene.targets;
    assertFinds(lintRepository(await republished({ team: { ...scene.team, delegations } })), [14]);
  });

  test('a star stays within a part of the path, however many there are', async () => {
    const covered = async (pattern: string, path: string): Promise<boolean> => {
      const files = await republished({ targets: delegating({ paths: [pattern] }), team: { ...scene.team, targets: { [path]: TARGET } } });
      return !lintRepository(files).some(({ rule, at }) => rule === 'tuf-14' && at === 'team');
    };
    assert.ok(await covered('a-*.im?', 'a-1.2.img'));
    assert.ok(await covered('a/*', 'a/b'));
    assert.ok(await covered('*', 'b'));
    assert.ok(!(await covered('a/*', 'a/b/c')));
    assert.ok(!(await covered('*', 'a/b')));
    assert.ok(!(await covered('a?b', 'a/b')));
    assert.ok(!(await covered('a.b', 'axb')));
    // A matcher that tries every split would not come back.
    assert.ok(!(await covered('*a'.repeat(60), `${'a'.repeat(120)}b`)));
  });
});

describe('bytes', () => {
  async function large(role: Timestamp | Root | Snapshot, bytes: number, by: readonly Signer[]): Promise<SignedRole> {
    return seal<Role>(changed<Role>(role, ['x'], 'x'.repeat(bytes)), by);
  }

  test('files above the caps of the clients are found by rule 19', async () => {
    const [one, two, three] = scene.signers;
    const timestamp = (await large(scene.timestamp, 16_384, [three])) as SignedRole<Timestamp>;
    assertFinds(lintRepository(withTimestamp(timestamp)), [19]);
    const root = (await large(scene.root, 512_000, [one, two])) as SignedRole<Root>;
    assertFinds(lintRepository({ roots: [root] }), [19]);
    const snapshot = (await large(scene.snapshot, 1 << 20, [two])) as SignedRole<Snapshot>;
    assertFinds(lintRepository({ roots: scene.files.roots, snapshot }), [19]);
  });

  test('targets may be as long as the snapshot says, delegated ones up to 10 MiB', async () => {
    const long = (role: Targets, bytes: number): Targets => changed(role, ['x'], 'x'.repeat(bytes));
    assert.deepEqual(lintRepository(await republished({ targets: long(scene.targets, 11 << 20) })), []);
    assertFinds(lintRepository(await republished({ team: long(scene.team, 10 << 20) })), [19]);
    const withoutLength = await republished({
      targets: long(scene.targets, 5_000_000),
      meta: (meta) => changed({ ...scene.snapshot, meta }, ['meta', 'targets.json', 'length'], undefined).meta,
    });
    assertFinds(lintRepository(withoutLength), [11, 19]);
  });

  test('a whole number that is written as a float is found by rule 18', () => {
    const sealed = scene.files.timestamp;
    assert.ok(sealed !== undefined);
    for (const written of ['1.0', '1e0', '1E0', '10e-1']) {
      const text: string = Buffer.from(sealed.bytes)
        .toString()
        .replace('"version": 1,\n    "expires"', `"version": ${written},\n    "expires"`);
      assert.ok(text.includes(written));
      assertFinds(lintRepository(withTimestamp(readSignedRole(Buffer.from(text), 'timestamp'))), [18]);
    }
    const inText = sealEnvelope({ signed: changed(scene.timestamp, ['x'], 'say "1.0" or \\'), signatures: [] });
    assert.ok(!lintRepository(withTimestamp(inText)).some(({ rule }) => rule === 'tuf-18'));
  });
});

test('metadata that has no canonical form is found by rules 1 and 18, and ends nothing', () => {
  const signed = changed(scene.timestamp, ['x'], 1.5);
  const timestamp = readSignedRole(Buffer.from(JSON.stringify({ signed, signatures: [] })), 'timestamp');
  assertFinds(lintRepository(withTimestamp(timestamp)), [1, 18]);
});
