/** Keys in tokens at the command line. */
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { cliWorkspace, gantry } from '../support/cli.ts';
import { startSoftHsm, TOKEN_PIN } from '../support/softhsm.ts';

test('gantry key generate --pkcs11 makes a key in a token, which key list shows and gantry sign uses', async (t) => {
  const hsm = await startSoftHsm(t);
  if (hsm === undefined) return;
  const { directory, workspace } = await cliWorkspace(t);
  const keys = join(directory, 'config', 'gantry', 'keys', 'my-os');
  const env = { GANTRY_PKCS11_MODULE: hsm.library, GANTRY_PIN: TOKEN_PIN };
  const run = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await gantry(args, { cwd: workspace, env });
    assert.equal(code, 0, stderr);
    return stdout;
  };
  assert.match(
    await run('key', 'list', '--pkcs11'),
    /No key is visible without a PIN\.\n {2}gantry key generate NAME --pkcs11 pkcs11:token=release\n/u,
  );
  const made = JSON.parse(await run('key', 'generate', 'root-d', '--type', 'ecdsa', '--pkcs11', 'pkcs11:token=release', '--json')) as {
    readonly keys: readonly { readonly reference: string }[];
  };
  const url = made.keys[0]?.reference ?? '';
  assert.match(url, /^pkcs11:token=release;id=[%0-9a-f]+;object=root-d$/u);
  assert.equal(await readFile(join(keys, 'root-d.signer'), 'utf8'), `${url}\n`);
  assert.deepEqual((await readdir(keys)).filter((file) => file.startsWith('root-d')).toSorted(), ['root-d.pub.pem', 'root-d.signer']);
  assert.match(await run('key', 'check', 'root-d'), /✓ root-d signs \(ecdsa\)/u);
  assert.ok((await run('key', 'list', '--pkcs11')).includes(`gantry key import NAME '${url}'`));
  const { tokens } = JSON.parse(await run('key', 'list', '--pkcs11', hsm.library, '--json')) as {
    readonly tokens: readonly { readonly label: string; readonly keys: readonly { readonly label: string; readonly type: string }[] }[];
  };
  assert.deepEqual(
    tokens.map((token) => [token.label, token.keys.map((key) => [key.label, key.type])]),
    [['release', [['root-d', 'ecdsa']]]],
  );
  await run('root', 'add-key', 'root-d', '--role', 'root');
  assert.match(await run('sign'), /✓ root version 2: signed by .*root-d/u);
  await run('root', 'verify');
});

test('gantry key generate --pkcs11 makes nothing in the token when the name is taken here, or with options that mean nothing there', async (t) => {
  const hsm = await startSoftHsm(t);
  if (hsm === undefined) return;
  const { workspace } = await cliWorkspace(t);
  const env = { GANTRY_PKCS11_MODULE: hsm.library, GANTRY_PIN: TOKEN_PIN };
  const generate = async (...args: readonly string[]): Promise<[number | null, string]> => {
    const { code, stderr } = await gantry(['key', 'generate', ...args, '--pkcs11', 'pkcs11:token=release'], { cwd: workspace, env });
    return [code, stderr];
  };
  const [taken, why] = await generate('root-a');
  assert.equal(taken, 3);
  assert.match(why, /Cannot make the key "root-a": .* exists already/u);
  for (const args of [
    ['one', 'two'],
    ['one', '--unencrypted'],
  ]) {
    const [code, stderr] = await generate(...args);
    assert.equal(code, 2);
    assert.match(stderr, /with --pkcs11 or --ssm; expected/u);
  }
  const { stdout } = await gantry(['key', 'list', '--pkcs11'], { cwd: workspace, env });
  assert.match(stdout, /No key is visible/u);
});

test('gantry key check tells a wrong PIN, sends it once for all keys of the token, and never shows it', async (t) => {
  const hsm = await startSoftHsm(t);
  if (hsm === undefined) return;
  const { workspace } = await cliWorkspace(t);
  const env = { GANTRY_PKCS11_MODULE: hsm.library };
  for (const name of ['root-d', 'root-e']) {
    const { code, stderr } = await gantry(['key', 'generate', name, '--pkcs11', 'pkcs11:token=release'], {
      cwd: workspace,
      env: { ...env, GANTRY_PIN: TOKEN_PIN },
    });
    assert.equal(code, 0, stderr);
  }
  const { code, stdout, stderr } = await gantry(['key', 'check', 'root-d', 'root-e'], {
    cwd: workspace,
    env: { ...env, GANTRY_PIN: '161803' },
  });
  assert.equal(code, 3);
  assert.match(stdout, /root-d: Cannot use this PIN for token release: it is wrong.*\n.*root-e: .* it was wrong before/u);
  assert.doesNotMatch(stdout + stderr, /161803/u);
});
