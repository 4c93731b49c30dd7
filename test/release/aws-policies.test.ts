/** The policies in `repo-layout/aws/`: that they suffice for every call that the sources make, and allow nothing else. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { permissionFor } from '../../lib/store/s3/permissions.ts';
import { allows, KEY_POLICY_NAMES, policyFor, policyText, POLICY_NAMES, TRUST_NAMES } from '../support/policy.ts';

const SOURCES = new URL('../../lib/store/s3/', import.meta.url);
const BUCKET = 'my-updates';
const KEYS = {
  timestamp: 'metal/x86_64/timestamp.json',
  snapshot: 'metal/x86_64/7.snapshot.json',
  targets: 'metal/x86_64/7.targets.json',
  root: 'metal/x86_64/2.root.json',
  image: `targets/${'ab'.repeat(32)}.my-os-metal-x86_64-1.2.0-9c41e7d0-root.ext4.zst`,
  probe: 'gantry-probe/1',
} as const;
const OBJECT_ACTIONS = ['s3:GetObject', 's3:PutObject', 's3:DeleteObject', 's3:AbortMultipartUpload', 's3:ListMultipartUploadParts'];

/** `PutObject` for every `new sdk.PutObjectCommand(` in the room of S3. */
function callsInSources(): readonly string[] {
  const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  const calls = files.flatMap((name) => [...readFileSync(new URL(name, SOURCES), 'utf8').matchAll(/\bnew [\w.#]*?(\w+)Command\(/gu)]);
  return [...new Set(calls.map(([, call = '']) => call))].toSorted();
}

function who(action: string, resource: string): readonly string[] {
  return POLICY_NAMES.filter((name) => allows(policyFor(name, BUCKET, 'os'), action, resource));
}

test('every call that the sources make has a permission in the table', () => {
  const calls = callsInSources();
  assert.ok(calls.length >= 8, calls.join());
  for (const call of calls) assert.ok(permissionFor(call) !== undefined, `${call} is not in lib/store/s3/permissions.ts`);
});

test('publisher.json allows every call that the sources make, but for removing', () => {
  const policy = policyFor('publisher', BUCKET, 'os');
  for (const call of callsInSources()) {
    const permission = permissionFor(call) ?? '';
    const isOfBucket = permission.startsWith('s3:ListBucket');
    const resource = isOfBucket ? BUCKET : `${BUCKET}/os/${call === 'DeleteObject' ? KEYS.probe : KEYS.image}`;
    assert.ok(allows(policy, permission, resource), `${call} needs ${permission}`);
  }
});

test('nobody but gc removes what is published, and gc no root and no timestamp', () => {
  for (const [kind, key] of Object.entries(KEYS)) {
    const expected = kind === 'probe' ? ['publisher', 'gc', 'signer'] : ['root', 'timestamp'].includes(kind) ? [] : ['gc'];
    assert.deepEqual(who('s3:DeleteObject', `${BUCKET}/os/${key}`), expected, kind);
  }
});

test('signer.json writes snapshots, timestamps and the probe, and nothing else', () => {
  for (const [kind, key] of Object.entries(KEYS)) {
    const expected = ['snapshot', 'timestamp', 'probe'].includes(kind) ? ['publisher', 'gc', 'signer'] : ['publisher', 'gc'];
    assert.deepEqual(who('s3:PutObject', `${BUCKET}/os/${key}`), expected, kind);
  }
});

test('reader.json changes nothing', () => {
  const { Statement } = policyFor('reader', BUCKET, 'os');
  assert.deepEqual(Statement.flatMap(({ Action }) => Action).toSorted(), ['s3:GetObject', 's3:ListBucket']);
});

test('everybody reads, and may list the bucket, so that S3 answers 404 for what is missing', () => {
  assert.deepEqual(who('s3:GetObject', `${BUCKET}/os/${KEYS.timestamp}`), POLICY_NAMES);
  assert.deepEqual(who('s3:ListBucket', BUCKET), POLICY_NAMES);
});

test('no policy reaches another prefix or another bucket', () => {
  for (const action of OBJECT_ACTIONS) {
    for (const key of Object.values(KEYS)) {
      for (const elsewhere of [`${BUCKET}/${key}`, `${BUCKET}/other/${key}`, `${BUCKET}/os-2/${key}`, `${BUCKET}-2/os/${key}`]) {
        assert.deepEqual(who(action, elsewhere), [], `${action} on ${elsewhere}`);
      }
    }
  }
  for (const action of ['s3:ListBucket', 's3:ListBucketMultipartUploads']) assert.deepEqual(who(action, `${BUCKET}-2`), []);
});

for (const name of [...POLICY_NAMES, ...TRUST_NAMES, ...KEY_POLICY_NAMES]) {
  test(`${name}.json names every action in full, and every placeholder is one that the documentation explains`, () => {
    const text = policyText(name);
    const { Version, Statement } = policyFor(name, BUCKET, 'os');
    assert.equal(Version, '2012-10-17');
    for (const { Action } of Statement) for (const action of Action) assert.match(action, /^(?:s3|sts|kms|ssm):[A-Z][A-Za-z]+$/u);
    const placeholders = text.match(/\b[A-Z]{5,}\b/gu) ?? [];
    const explained = readFileSync(new URL('../../docs/ci.md', import.meta.url), 'utf8');
    assert.ok(placeholders.length > 0);
    for (const placeholder of placeholders) assert.ok(explained.includes(`\`${placeholder}\``), placeholder);
  });
}

test('the trust policies let in one environment or branch of one repository, with a token that was made for AWS', () => {
  for (const name of TRUST_NAMES) {
    const [statement, ...others] = policyFor(name, BUCKET, 'os').Statement;
    assert.deepEqual(others, []);
    assert.deepEqual(statement?.Action, ['sts:AssumeRoleWithWebIdentity']);
    assert.deepEqual(Object.keys(statement?.Condition ?? {}), ['StringEquals']);
    const conditions = statement?.Condition?.['StringEquals'] ?? {};
    const issuer = statement?.Principal?.Federated.split('oidc-provider/')[1] ?? '';
    assert.deepEqual(Object.keys(conditions).toSorted(), [`${issuer}:aud`, `${issuer}:sub`]);
    assert.match(
      String(conditions[`${issuer}:sub`]),
      /^(?:repo:OWNER\/REPOSITORY:environment:\w+|project_path:GROUP\/PROJECT:ref_type:branch:ref:\w+)$/u,
    );
  }
});

test('the policies of keys allow every call that a signer makes, on one key or parameter, and nothing that changes one', () => {
  const text = ['kms', 'ssm'].map((name) => readFileSync(new URL(`../../lib/keys/aws/${name}.ts`, import.meta.url), 'utf8')).join('');
  const called = new Set(text.match(/\b(?:kms|ssm):[A-Z][A-Za-z]+/gu));
  // Of whoever makes a key, not of a signer.
  called.delete('ssm:PutParameter');
  // What SSM asks of KMS in the name of who reads.
  called.add('kms:Decrypt');
  const statements = KEY_POLICY_NAMES.flatMap((name) => policyFor(name, BUCKET, 'os').Statement);
  assert.deepEqual(statements.flatMap(({ Action }) => Action).toSorted(), [...called].toSorted());
  for (const { Effect, Resource = [], Action, Condition } of statements) {
    assert.equal(Effect, 'Allow');
    assert.deepEqual(Resource, [
      Action.includes('ssm:GetParameter') ? 'arn:aws:ssm:REGION:ACCOUNT:parameter/PARAMETER' : 'arn:aws:kms:REGION:ACCOUNT:key/KEYID',
    ]);
    assert.deepEqual(Condition !== undefined, Action.includes('kms:Sign') || Action.includes('kms:Decrypt'));
  }
  const algorithms = statements.flatMap(({ Condition = {} }) => Condition['StringEquals']?.['kms:SigningAlgorithm'] ?? []);
  for (const algorithm of algorithms) assert.ok(text.includes(`'${algorithm}'`), algorithm);
  assert.equal(algorithms.length, 3);
});
