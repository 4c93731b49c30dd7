/** Each rule of the portability lint is broken once, by the smallest change to a clean role, and nothing else is found. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { before, describe, test } from 'node:test';
import type { LintFinding } from '../../lib/errors.ts';
import { keyIdOf, keyObjectOf, publicKeyFromKeyObject, publicKeyFromPem } from '../../lib/tuf/key.ts';
import { assertPortable, lintRepository, lintRole } from '../../lib/tuf/lint.ts';
import type { PublicKey, Role } from '../../lib/tuf/types.ts';
import { assertFinds, changed, makeScene, TARGET, type Scene } from './scene.ts';

let scene: Scene;

before(async () => {
  scene = await makeScene();
});

type Path = readonly (string | number)[];
type Name = 'root' | 'targets' | 'snapshot' | 'timestamp';
/** The rules that find it, what is wrong, in which role, where, and what stands there. */
type Breach = readonly [rules: readonly number[], what: string, role: Name, path: Path, value: (scene: Scene) => unknown];

const TARGET_PATH = ['targets', 'a-1.0.0+b.img'] as const;
const ROLE_PATH = ['delegations', 'roles', 0] as const;
const STRANGER = 'ab'.repeat(32);

const is =
  (value: unknown): (() => unknown) =>
  () =>
    value;

function ed25519(): PublicKey {
  return publicKeyFromKeyObject(generateKeyPairSync('ed25519').publicKey);
}

function withKeys(...keys: readonly PublicKey[]): (scene: Scene) => unknown {
  return ({ root }) => ({ ...root.keys, ...Object.fromEntries(keys.map((key) => [keyIdOf(key), key])) });
}

function spki(keytype: 'ecdsa' | 'rsa', pem: string): PublicKey {
  return keytype === 'ecdsa'
    ? { keytype, scheme: 'ecdsa-sha2-nistp256', keyval: { public: pem } }
    : { keytype, scheme: 'rsassa-pss-sha256', keyval: { public: pem } };
}

function generated(keytype: 'ecdsa' | 'rsa', type: 'spki' | 'pkcs1', bits = 2048, namedCurve = 'P-256'): PublicKey {
  const { publicKey } = keytype === 'rsa' ? generateKeyPairSync('rsa', { modulusLength: bits }) : generateKeyPairSync('ec', { namedCurve });
  return spki(keytype, publicKey.export({ format: 'pem', type: type === 'pkcs1' ? 'pkcs1' : 'spki' }));
}

/** The point is the same, and OpenSSL verifies with it; tough does not. */
function compressedPoint(): PublicKey {
  const { x, y } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' });
  const [across, up] = [Buffer.from(x ?? '', 'base64url'), Buffer.from(y ?? '', 'base64url')];
  const prefix = Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex');
  const der = Buffer.concat([prefix, Buffer.from([2 + ((up.at(-1) ?? 0) & 1)]), across]);
  return spki('ecdsa', `-----BEGIN PUBLIC KEY-----\n${der.toString('base64')}\n-----END PUBLIC KEY-----\n`);
}

const ERRORS: readonly Breach[] = [
  [[2], 'milliseconds', 'root', ['expires'], is('2030-01-01T00:00:00.000Z')],
  [[2], 'an offset', 'root', ['expires'], is('2030-01-01T00:00:00+00:00')],
  [[2], 'lower case', 'root', ['expires'], is('2030-01-01t00:00:00z')],
  [[2], 'a day that is not on the calendar', 'root', ['expires'], is('2030-02-30T00:00:00Z')],
  [[2], 'the year 9001', 'root', ['expires'], is('9001-01-01T00:00:00Z')],
  [[3], 'a spec version of two numbers', 'targets', ['spec_version'], is('1.0')],
  [[3], 'a spec version 2', 'targets', ['spec_version'], is('2.0.0')],
  [[4], 'version 0', 'snapshot', ['version'], is(0)],
  [[4], 'a version that is text', 'snapshot', ['version'], is('1')],
  [[4, 18], 'a version beyond 2^53', 'snapshot', ['version'], is(2 ** 53)],
  [[5], 'no consistent_snapshot', 'root', ['consistent_snapshot'], is(undefined)],
  [[5], 'consistent_snapshot false', 'root', ['consistent_snapshot'], is(false)],
  [[5], 'a mirrors role', 'root', ['roles', 'mirrors'], ({ root }) => root.roles.targets],
  [[5], 'mirrors', 'root', ['mirrors'], is([])],
  [[5], 'a missing role', 'root', ['roles', 'snapshot'], is(undefined)],
  [[6], 'an unknown key type', 'root', ['keys', STRANGER], is({ keytype: 'oidc', scheme: 'oidc', keyval: { public: 'x' } })],
  [[6], 'an ECDSA P-384 key', 'root', ['keys'], withKeys(generated('ecdsa', 'spki', 0, 'P-384'))],
  [[6], 'an RSA key of 1024 bits', 'root', ['keys'], withKeys(generated('rsa', 'spki', 1024))],
  [[6], 'an RSA key as PKCS#1', 'root', ['keys'], withKeys(generated('rsa', 'pkcs1'))],
  [[6], 'a compressed ECDSA point', 'root', ['keys'], withKeys(compressedPoint())],
  [[6], 'an ed25519 key in upper case', 'root', ['keys'], withKeys({ ...ed25519(), keyval: { public: 'AB'.repeat(32) } })],
  [[6], 'a key in a delegation that is not one', 'targets', ['delegations', 'keys', STRANGER], is({})],
  [[7], 'a key id that is not the digest', 'root', ['keys', STRANGER], ed25519],
  [[9], 'a repeated key id', 'root', ['roles', 'root', 'keyids'], ({ signers: [one] }) => [one.keyId, one.keyId]],
  [[9], 'a key id without a key', 'root', ['roles', 'targets', 'keyids'], is([STRANGER])],
  [[9], 'a threshold above the keys', 'root', ['roles', 'targets', 'threshold'], is(2)],
  [[9], 'a threshold of 0', 'root', ['roles', 'targets', 'threshold'], is(0)],
  [[9], 'one key under two ids', 'root', ['keys'], (all) => withKeys(spki('ecdsa', `\n${all.signers[1].key.keyval.public}`))(all)],
  [[10], 'sha512 beside sha256', 'targets', [...TARGET_PATH, 'hashes', 'sha512'], is('ab'.repeat(64))],
  [[10], 'upper-case digits', 'targets', [...TARGET_PATH, 'hashes', 'sha256'], is('AB'.repeat(32))],
  [[10], 'a target without hashes', 'targets', [...TARGET_PATH, 'hashes'], is(undefined)],
  [[10], 'sha512 alone in a meta entry', 'timestamp', ['meta', 'snapshot.json', 'hashes'], is({ sha512: 'ab'.repeat(64) })],
  [[11], 'a meta entry without length', 'timestamp', ['meta', 'snapshot.json', 'length'], is(undefined)],
  [[11], 'a length of null', 'snapshot', ['meta', 'targets.json', 'length'], is(null)],
  [[11], 'a meta entry without hashes', 'snapshot', ['meta', 'targets.json', 'hashes'], is(undefined)],
  [[11], 'a second entry in the timestamp', 'timestamp', ['meta', 'x.json'], ({ timestamp }) => timestamp.meta['snapshot.json']],
  [[11], 'a snapshot without targets.json', 'snapshot', ['meta', 'targets.json'], is(undefined)],
  [[12], 'an empty custom', 'targets', [...TARGET_PATH, 'custom'], is({})],
  [[12], 'a custom that is text', 'targets', [...TARGET_PATH, 'custom'], is('x')],
  [[12], 'null in custom', 'targets', [...TARGET_PATH, 'custom', 'x'], is([null])],
  [[12, 18], 'a float in custom', 'targets', [...TARGET_PATH, 'custom', 'x'], is(1.5)],
  [[12], 'a target without length', 'targets', [...TARGET_PATH, 'length'], is(undefined)],
  [[12], 'a negative length', 'targets', [...TARGET_PATH, 'length'], is(-1)],
  ...['/a', '../a', 'a//b', './a', '.a', 'a/', 'a#b', 'a?b', 'a%41', 'a:b', '\u00e4', 'a\\b'].map((name): Breach => [
    [13],
    `the target name ${name}`,
    'targets',
    ['targets', name],
    is(TARGET),
  ]),
  [[13, 18], 'a target name with a blank', 'targets', ['targets', 'a b'], is(TARGET)],
  [[14], 'delegations of null', 'targets', ['delegations'], is(null)],
  [[14], 'delegations without keys', 'targets', ['delegations', 'keys'], is(undefined)],
  [[14], 'succinct roles', 'targets', ['delegations', 'succinct_roles'], is({})],
  [[14], 'an unknown member of a delegated role', 'targets', [...ROLE_PATH, 'note'], is('x')],
  [[14], 'a role name of digits', 'targets', [...ROLE_PATH, 'name'], is('123')],
  [[14], 'the name of a top role', 'targets', [...ROLE_PATH, 'name'], is('snapshot')],
  [[14], 'neither paths nor hash prefixes', 'targets', [...ROLE_PATH, 'paths'], is(undefined)],
  [[14], 'terminating that is missing', 'targets', [...ROLE_PATH, 'terminating'], is(undefined)],
  [[14], 'a role twice', 'targets', ['delegations', 'roles'], ({ targets }) => [0, 1].map(() => targets.delegations.roles[0])],
  ...['[ab]*', '{a,b}', '!a', '#a', '.a*', 'a/.b', '/a', 'a//b', 'a/**', '@(a|b)', 7].map((pattern): Breach => [
    [15],
    `the pattern ${pattern}`,
    'targets',
    [...ROLE_PATH, 'paths'],
    is([pattern]),
  ]),
  [[18], 'a float', 'root', ['x'], is(1.5)],
  [[18], 'minus zero', 'root', ['x'], is(-0)],
  [[18], 'an integer beyond 2^53', 'root', ['x'], is(2 ** 60)],
  [[18], 'text that is not NFC', 'root', ['x'], is('u\u0308')],
  [[18], 'half of a surrogate pair', 'root', ['x'], is('\ud800')],
  [[18], 'undefined in a list', 'root', ['x'], is([undefined])],
  [[18], 'a Date', 'root', ['x'], is(new Date(0))],
  [[18], 'deep nesting', 'root', ['x'], () => Array.from({ length: 120 }).reduce<unknown>((inner) => [inner], 1)],
  ...['a b', 'a!', 'a"', 'a\n', '😀', 'u\u0308', '\udc00'].map((name): Breach => [
    [18],
    `the member name ${JSON.stringify(name)}`,
    'root',
    [name],
    is(1),
  ]),
];

const WARNINGS: readonly Breach[] = [
  [[3], 'a spec version that tuftool cannot edit', 'targets', ['spec_version'], is('1.0.31')],
  [[6], 'an extra member of a key', 'root', ['keys'], withKeys({ ...ed25519(), name: 'Ana' } as PublicKey)],
  [[11], 'root.json in the snapshot', 'snapshot', ['meta', 'root.json'], ({ snapshot }) => snapshot.meta['targets.json']],
  [
    [14],
    'hash prefixes',
    'targets',
    ['delegations', 'roles'],
    ({ signers: [, , { keyId }] }) => [{ name: 'team', keyids: [keyId], threshold: 1, terminating: true, path_hash_prefixes: ['0a'] }],
  ],
  [[15], 'a star in front of a slash', 'targets', [...ROLE_PATH, 'paths'], is(['*/a'])],
];

function broken([, , name, path, value]: Breach): Role {
  const role: Role = scene[name];
  return changed(role, path, value(scene));
}

describe('lintRole()', () => {
  const severities: readonly (readonly [LintFinding['severity'], readonly Breach[]])[] = [
    ['error', ERRORS],
    ['warning', WARNINGS],
  ];
  for (const [severity, breaches] of severities) {
    for (const breach of breaches) {
      const [rules, what] = breach;
      test(`finds ${what} by rule ${rules.join(' and ')}, as ${severity}`, () => {
        assertFinds(lintRole(broken(breach)), rules, severity);
      });
    }
  }

  test('warns of an example key by rule 6', async () => {
    const key = publicKeyFromPem(await readFile(new URL('../../keys-example/online.pub.pem', import.meta.url), 'utf8'));
    assertFinds(lintRole(changed(scene.root, ['keys', keyIdOf(key)], key)), [6], 'warning');
  });

  test('says where, by role and members', () => {
    assert.equal(lintRole(changed(scene.targets, ['targets', '.a'], TARGET), 'team')[0]?.at, 'team.targets[".a"]');
    assert.equal(lintRole(changed(scene.targets, [...TARGET_PATH, 'note'], [1.5]))[0]?.at, 'targets.targets["a-1.0.0+b.img"].note[0]');
  });
});

test('a clean repository with every kind of key and a delegation has no findings', () => {
  assert.deepEqual(lintRepository(scene.files), []);
});

describe('assertPortable()', () => {
  test('accepts clean roles, and lets warnings pass', () => {
    for (const role of [scene.root, scene.targets, scene.snapshot, scene.timestamp]) assertPortable(role);
    for (const breach of WARNINGS) assertPortable(broken(breach));
  });

  test('refuses every error, with the findings in the details', () => {
    for (const breach of ERRORS) {
      assert.throws(() => assertPortable(broken(breach)), { code: 'tuf/not-portable' });
    }
    assert.throws(() => assertPortable(changed(scene.targets, ['targets', '.a'], TARGET)), {
      message: /^Cannot sign this targets role: tuf-13: targets\.targets\["\.a"\]: /u,
      details: { findings: lintRole(changed(scene.targets, ['targets', '.a'], TARGET)) },
    });
  });
});

test('the compressed point of this test is a point', () => {
  assert.equal(keyObjectOf(compressedPoint()).asymmetricKeyDetails?.namedCurve, 'prime256v1');
});
