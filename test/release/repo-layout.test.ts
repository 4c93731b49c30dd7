import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { parseOffset } from '../../lib/release/duration.ts';
import { parseToml } from '../../lib/release/toml.ts';
import { parseWavePolicy, policyWaves } from '../../lib/release/wave-policy.ts';
import { instantOf, SECOND, waveTime } from '../../lib/release/wave-time.ts';
import { cacheControlOf } from '../../lib/store/cache-control.ts';
import { parseConfig } from '../../lib/workspace/config.ts';

const folder = new URL('../../repo-layout/', import.meta.url);
const textOf = (name: string): string => readFileSync(new URL(name, folder), 'utf8');

const HOUR = 3600;
const DAY = 24 * HOUR;
/** Seed bound and offset in seconds, as Bottlerocket's tools compute them from its policies. */
const BOUNDS: Readonly<Record<string, readonly (readonly [number, number])[]>> = {
  'default-waves': [
    [0, HOUR],
    [20, 4 * HOUR],
    [102, DAY],
    [307, 2 * DAY],
    [819, 4 * DAY],
    [1228, 5 * DAY],
    [1843, 6 * DAY],
  ],
  'accelerated-waves': [
    [0, HOUR],
    [61, 4 * HOUR],
    [245, 8 * HOUR],
    [819, 16 * HOUR],
    [1638, DAY],
  ],
  ohno: [
    [0, 1800],
    [102, HOUR],
    [512, 2 * HOUR],
    [1024, 9000],
    [1843, 3 * HOUR],
  ],
  'slow-roll': [
    [0, HOUR],
    [20, DAY],
    [102, 3 * DAY],
    [307, 7 * DAY],
    [819, 9 * DAY],
    [1228, 12 * DAY],
    [1843, 13 * DAY],
  ],
};

test('repo-layout/ holds exactly what gantry init copies', () => {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const names = files.map(({ parentPath, name }) => relative(fileURLToPath(folder), join(parentPath, name)));
  assert.deepEqual(names.toSorted(), [
    'README.md',
    'aws/gc.json',
    'aws/kms-key.json',
    'aws/publisher.json',
    'aws/reader.json',
    'aws/signer.json',
    'aws/ssm-key.json',
    'aws/trust-github.json',
    'aws/trust-gitlab.json',
    'ci/github-actions.yml',
    'ci/gitlab-ci.yml',
    'gantry.toml',
    'gitignore',
    'hosting/Caddyfile',
    'hosting/cloudfront.json',
    'hosting/nginx.conf',
    'hosting/store-command.sh',
    'policies/expiry.toml',
    'policies/waves/accelerated-waves.toml',
    'policies/waves/default-waves.toml',
    'policies/waves/ohno.toml',
    'policies/waves/slow-roll.toml',
  ]);
});

test('gantry.toml is complete once its placeholders are filled', () => {
  const text = textOf('gantry.toml');
  assert.deepEqual(text.match(/\{\{\w+\}\}/gu), ['{{product}}', '{{store}}', '{{variant}}', '{{arch}}']);
  assert.deepEqual(parseConfig(text.replaceAll(/\{\{(\w+)\}\}/gu, 'my_$1'), 'gantry.toml'), {
    product: 'my_product',
    store: 'my_store',
    repositories: [{ variant: 'my_variant', arch: 'my_arch' }],
  });
});

test('policies/expiry.toml states 52 weeks, and 2, 2 and 1', () => {
  const { table: policy } = parseToml(textOf('policies/expiry.toml'), 'expiry.toml');
  const weeks = Object.fromEntries(Object.entries(policy).map(([member, value]) => [member, parseOffset(String(value)) / (7 * DAY)]));
  assert.deepEqual(weeks, { root_expiration: 52, targets_expiration: 2, snapshot_expiration: 2, timestamp_expiration: 1 });
});

for (const [name, bounds] of Object.entries(BOUNDS)) {
  test(`policies/waves/${name}.toml gives the bounds and times that stock tools would`, () => {
    const path = `policies/waves/${name}.toml`;
    const start = instantOf(new Date('2025-03-03T17:00:00Z'));
    const expected = bounds.map(([bound, seconds]) => [String(bound), waveTime(start + BigInt(seconds) * SECOND)]);
    assert.deepEqual(policyWaves(parseWavePolicy(textOf(path), path), start), Object.fromEntries(expected));
    // Stock tools take these two members and no other.
    const { waves } = parseToml(textOf(path), path).table as { waves: readonly object[] };
    for (const wave of waves) assert.deepEqual(Object.keys(wave), ['start_after', 'fleet_percentage']);
  });
}

for (const [name, count] of [
  ['nginx.conf', 4],
  ['Caddyfile', 5],
] as const) {
  test(`README.md states the cache headers that hosting/${name} sends`, () => {
    const sent = [...textOf(`hosting/${name}`).matchAll(/Cache-Control "([^"]+)"/gu)];
    assert.equal(sent.length, count);
    const readme = textOf('README.md');
    for (const [, header = ''] of sent) assert.ok(readme.includes(`\`${header}\``), header);
  });
}

test('README.md states the cache headers that are written to a bucket', () => {
  const readme = textOf('README.md');
  for (const cacheClass of ['immutable', 'revalidate'] as const)
    assert.ok(readme.includes(`\`${cacheControlOf(cacheClass)}\``), cacheClass);
  const [, seconds = ''] = /max-age=(\d+)/u.exec(cacheControlOf('revalidate')) ?? [];
  assert.ok(Number(seconds) <= 60);
});

test('gitignore keeps private state and private keys out, and public keys in', () => {
  const lines = textOf('gitignore')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  assert.deepEqual(lines, ['/.gantry/', '*.pem', '!*.pub.pem']);
});
