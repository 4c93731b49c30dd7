import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseInfraFile } from '../../lib/workspace/infra-file.ts';

const SHA512 = 'ab'.repeat(64);

function parse(text: string, name = 'default'): ReturnType<typeof parseInfraFile> {
  return parseInfraFile(text, 'Infra.toml', name);
}

test('parseInfraFile() takes what pubsys needs of a repository, and passes over what is for other jobs', () => {
  const text = `
[vmware]
datacenters = ["north"]

[aws]
profile = "release"
regions = ["us-west-2"]

[repo.default]
root_role_url = "https://example.com/root.json"
root_role_sha512 = "${SHA512.toUpperCase()}"
metadata_base_url = "https://example.com/updates"
targets_url = "https://example.com/updates/targets/"
signing_keys = { kms = { key_id = "1234-abcd" } }
`;
  assert.deepEqual(parse(text), {
    metadataBaseUrl: 'https://example.com/updates/',
    targetsUrl: 'https://example.com/updates/targets/',
    rootUrl: 'https://example.com/root.json',
    rootSha512: SHA512,
    signingKey: 'aws-kms://release/1234-abcd',
  });
});

for (const [keys, expected] of [
  ['{ file = { path = "keys/default.pem" } }', 'keys/default.pem'],
  ['{ ssm = { parameter = "/os/publish" } }', 'aws-ssm:///os/publish'],
  ['{ ssm = { parameter = "publish" } }', 'aws-ssm:///publish'],
  ['{ kms = { key_alias = "alias/os" } }', 'aws-kms:///alias/os'],
  ['{ kms = {} }', undefined],
] as const) {
  test(`parseInfraFile() says where the key is when it is ${keys}`, () => {
    assert.equal(parse(`[repo.default]\nsigning_keys = ${keys}\n`).signingKey, expected);
  });
}

for (const [what, text, name, message] of [
  ['there is no such repository', '[repo.a]\n[repo.b]\n', 'default', /it has no \[repo\.default\]; expected one of "a", "b"/u],
  ['there is none at all', '', 'default', /expected one$/u],
  ['the digest is none', '[repo.default]\nroot_role_sha512 = "abc"\n', 'default', /repo\.default\.root_role_sha512/u],
  ['the key is of no known kind', '[repo.default]\nsigning_keys = { vault = {} }\n', 'default', /repo\.default\.signing_keys/u],
] as const) {
  test(`parseInfraFile() refuses a file when ${what}`, () => {
    assert.throws(() => parse(text, name), { code: 'workspace/bad-config', message });
  });
}

test('parseInfraFile() names the line of what is no TOML', () => {
  assert.throws(() => parse('[repo.default\n'), { code: 'release/bad-toml' });
});
