import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildIdFrom, checkName, imageTargetName, parseVersion, type ImageName } from '../../lib/release/names.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';

const parts: ImageName = {
  product: 'bottlerocket',
  variant: 'aws-k8s-1.31',
  arch: 'aarch64',
  version: '4.2.0',
  build: '9c41e7d0',
  image: 'boot',
  compression: 'lz4',
};

test('imageTargetName() makes the names that stock hosts know', () => {
  const names = (['boot', 'root', 'hash'] as const).map((image) => imageTargetName({ ...parts, image }));
  assert.deepEqual(names, [
    'bottlerocket-aws-k8s-1.31-aarch64-4.2.0-9c41e7d0-boot.ext4.lz4',
    'bottlerocket-aws-k8s-1.31-aarch64-4.2.0-9c41e7d0-root.ext4.lz4',
    'bottlerocket-aws-k8s-1.31-aarch64-4.2.0-9c41e7d0-root.verity.lz4',
  ]);
  assert.equal(
    imageTargetName({ ...parts, version: '4.2.0-rc.1+nightly.7', compression: 'zst' }),
    'bottlerocket-aws-k8s-1.31-aarch64-4.2.0-rc.1+nightly.7-9c41e7d0-boot.ext4.zst',
  );
});

test('imageTargetName() refuses a name that is too long for a file system', () => {
  const long = { ...parts, product: 'p'.repeat(40), variant: 'v'.repeat(64), version: `1.0.0-${'x'.repeat(60)}` };
  assert.throws(() => imageTargetName(long), { code: 'release/bad-name' });
});

const NAMES = {
  product: {
    good: ['my-os', 'A', 'os_2', 'a.b', 'a--b'],
    bad: ['', '.os', 'os.', 'a..b', '-os', 'my os', 'a/b', 'ö', 'a%b', 'a+b', 'p'.repeat(41)],
  },
  variant: { good: ['metal', 'aws-k8s-1.31-nvidia'], bad: ['..', 'targets', 'Targets', 'a\n', 'v'.repeat(65)] },
  arch: { good: ['x86_64', 'aarch64', 'riscv64'], bad: ['', 'x86-64', 'X86', 'arm.64', '.'] },
  build: { good: ['9c41e7d0', '51b0aa2f-dirty', '20260301.1'], bad: ['', 'a b', '-x', 'a+b'] },
} as const;

for (const [what, { good, bad }] of Object.entries(NAMES)) {
  const kind = what as keyof typeof NAMES;
  test(`checkName() accepts a portable ${what}`, () => {
    for (const name of good) assert.equal(checkName(kind, name), name);
  });
  test(`checkName() refuses a ${what} that some file system or client would not take`, () => {
    for (const name of bad) assert.throws(() => checkName(kind, name), { code: 'release/bad-name', details: { what, name } });
  });
}

test('parseVersion() returns strict SemVer as it is', () => {
  for (const text of ['0.0.0', '1.2.3-0a.b-c', '1.2.3+001.b', '1.2.3-rc.1+b']) assert.equal(parseVersion(text), text);
});

test('parseVersion() refuses everything else', () => {
  const texts = [
    '',
    'v1.2.3',
    '=1.2.3',
    ' 1.2.3',
    '1.2.3\n',
    '1.2',
    '1.2.3.4',
    '01.2.3',
    '1.2.3-01',
    '1.2.3-',
    '1.2.3+',
    '1.2.x',
    'latest',
  ];
  for (const version of texts) assert.throws(() => parseVersion(version), { code: 'release/bad-version', details: { version } });
});

test('buildIdFrom() takes the first eight digits', () => {
  assert.equal(buildIdFrom(sha256Hex(Buffer.from('root image'))), sha256Hex(Buffer.from('root image')).slice(0, 8));
});
