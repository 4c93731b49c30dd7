/** URLs of keys in AWS: tuftool's grammar. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { kmsUrl, parseKmsUrl, parseSsmUrl, regionOf, ssmUrl, type KmsReference, type SsmReference } from '../../lib/keys/aws/url.ts';
import { isGantryError } from '../../lib/errors.ts';

const text = (characters: string, maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...characters), minLength: 1, maxLength });
const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';

const profiles = fc.option(text(`${LETTERS}_.-+=,`, 20), { nil: undefined });
const regions = fc.constantFrom('eu-west-1', 'us-gov-east-1', 'ap-southeast-2', 'cn-north-1');
const keyIds = fc.oneof(
  fc.uuid(),
  fc.uuid().map((uuid) => `mrk-${uuid.replaceAll('-', '')}`),
  text(`${LETTERS}_-/`, 30).map((name) => `alias/${name}`),
  fc.tuple(regions, fc.uuid()).map(([region, uuid]) => `arn:aws:kms:${region}:111122223333:key/${uuid}`),
  fc.tuple(regions, text(`${LETTERS}_-/`, 30)).map(([region, name]) => `arn:aws-us-gov:kms:${region}:111122223333:alias/${name}`),
);
const levels = text(`${LETTERS}_.-`, 20).filter((level) => level !== '.' && level !== '..');
const parameters = fc.array(levels, { minLength: 1, maxLength: 15 }).map((path) => `/${path.join('/')}`);

const kmsReferences: fc.Arbitrary<KmsReference> = fc
  .record({ profile: profiles, keyId: keyIds })
  .map(({ profile, keyId }) => ({ keyId, ...(profile === undefined ? {} : { profile }) }));
const ssmReferences: fc.Arbitrary<SsmReference> = fc
  .record({ profile: profiles, parameter: parameters, kmsKeyId: fc.option(keyIds, { nil: undefined }) })
  .map(({ profile, parameter, kmsKeyId }) => ({
    parameter,
    ...(profile === undefined ? {} : { profile }),
    ...(kmsKeyId === undefined ? {} : { kmsKeyId }),
  }));

/** As tuftool does: what a parser of URLs (WHATWG's) finds, without undoing escapes but in the query. */
function readAsTuftool(url: string): { readonly profile: string; readonly path: string; readonly kmsKeyId: string | null } {
  const { host, pathname, searchParams, port, username, hash } = new URL(url);
  assert.deepEqual([port, username, hash], ['', '', '']);
  return { profile: host, path: pathname, kmsKeyId: searchParams.get('kms-key-id') };
}

test('parseKmsUrl() reads what kmsUrl() writes, and what tuftool reads in it', () => {
  fc.assert(
    fc.property(kmsReferences, (reference) => {
      const url = kmsUrl(reference);
      assert.deepEqual(parseKmsUrl(url), reference);
      const { profile = '', keyId } = reference;
      assert.deepEqual(readAsTuftool(url), { profile, path: `/${keyId}`, kmsKeyId: null });
    }),
  );
});

test('parseSsmUrl() reads what ssmUrl() writes, and what tuftool reads in it', () => {
  fc.assert(
    fc.property(ssmReferences, (reference) => {
      const url = ssmUrl(reference);
      assert.deepEqual(parseSsmUrl(url), reference);
      const { profile = '', parameter, kmsKeyId = null } = reference;
      assert.deepEqual(readAsTuftool(url), { profile, path: parameter, kmsKeyId });
    }),
  );
});

test('parseKmsUrl() and parseSsmUrl() refuse any other text with keys/bad-reference, or read it as tuftool does', () => {
  const pieces = fc.constantFrom(
    'aws-kms://',
    'aws-ssm://',
    '/',
    '//',
    ':',
    '@',
    '?',
    '#',
    '..',
    '%2e',
    'alias/',
    '?kms-key-id=',
    'a',
    '\\',
    '\n',
    ' ',
  );
  const hostile = fc.oneof(
    fc.string(),
    fc.array(pieces, { maxLength: 8 }).map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(hostile, fc.constantFrom('', 'aws-kms://', 'aws-ssm://'), (rest, scheme) => {
      const url = scheme + rest;
      for (const parse of [parseKmsUrl, parseSsmUrl]) {
        let found: KmsReference | SsmReference;
        try {
          found = parse(url);
        } catch (error) {
          assert.ok(isGantryError(error, 'keys/bad-reference'), String(error));
          assert.equal(error.details.reference, url);
          continue;
        }
        const { profile, path, kmsKeyId } = readAsTuftool(url);
        assert.equal(found.profile ?? '', profile);
        assert.equal('keyId' in found ? `/${found.keyId}` : found.parameter, path);
        if ('parameter' in found) assert.equal(found.kmsKeyId ?? null, kmsKeyId);
      }
    }),
    { numRuns: 2000 },
  );
});

test('parseSsmUrl() undoes the escapes of a query, and leaves a version where it is', () => {
  assert.deepEqual(parseSsmUrl('aws-ssm:///os/root?kms-key-id=alias%2Fos'), { parameter: '/os/root', kmsKeyId: 'alias/os' });
  assert.deepEqual(parseSsmUrl('aws-ssm://prod/os/root:3'), { profile: 'prod', parameter: '/os/root:3' });
});

for (const url of [
  'aws-kms://',
  'aws-kms:///',
  'aws-kms://profile',
  'aws-kms:/1234',
  'AWS-KMS:///1234',
  'aws-kms:///alias/',
  'aws-kms:///1234?region=eu-west-1',
  'aws-kms:///1234#',
  'aws-kms://me@profile/1234',
  'aws-kms://profile:80/1234',
  'aws-kms:///1234/../5678',
  'aws-kms:///arn:aws:s3:::bucket',
  'aws-kms:///arn:aws:kms:eu-west-1:1111:key/1234',
  'aws-kms:///alias/with%20space',
]) {
  test(`parseKmsUrl() refuses ${url}`, () => {
    assert.throws(() => parseKmsUrl(url), { code: 'keys/bad-reference', details: { reference: url } });
  });
}

for (const url of [
  'aws-ssm://',
  'aws-ssm:///',
  'aws-ssm://profile',
  'aws-ssm:///a//b',
  'aws-ssm:///a/',
  'aws-ssm:///a/../b',
  'aws-ssm:///a/./b',
  'aws-ssm:///a?key-id=alias/b',
  'aws-ssm:///a?kms-key-id=',
  'aws-ssm:///a?kms-key-id=alias/b&kms-key-id=alias/c',
  'aws-ssm:///a?kms-key-id=alias%252Fb',
  `aws-ssm://${'/a'.repeat(16)}`,
]) {
  test(`parseSsmUrl() refuses ${url}`, () => {
    assert.throws(() => parseSsmUrl(url), { code: 'keys/bad-reference', details: { reference: url } });
  });
}

test('regionOf() tells the region of an ARN, and none of a key that names none', () => {
  assert.equal(regionOf('arn:aws:kms:eu-west-1:111122223333:alias/os'), 'eu-west-1');
  assert.equal(regionOf('arn:aws-cn:kms:cn-north-1:111122223333:key/1234-5'), 'cn-north-1');
  assert.equal(regionOf('alias/os'), undefined);
});
