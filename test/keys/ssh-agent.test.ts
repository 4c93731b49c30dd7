import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { openReference } from '../../lib/keys/reference.ts';
import { verifySignature } from '../../lib/tuf/signature.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { accessOf } from '../support/signer-access.ts';
import { startAgent } from '../support/ssh-agent.ts';

for (const [keytype, ...kind] of [
  ['ed25519', '-t', 'ed25519'],
  ['ecdsa', '-t', 'ecdsa', '-b', '256'],
] as const) {
  test(`openReference() signs with an ${keytype} key of an ssh-agent, by fingerprint and by comment`, async (t) => {
    const agent = await startAgent(t);
    if (agent === undefined) return;
    await agent.add('another', '-t', 'ed25519');
    const fingerprint = await agent.add('release key', ...kind);
    for (const name of [fingerprint, 'release key']) {
      const signer = await openReference(`ssh-agent:${name}`, accessOf({ env: agent.env }));
      assert.equal(signer.key.keytype, keytype);
      // Numbers of ECDSA have 31, 32 or 33 bytes: each way of writing them comes up.
      for (let times = 0; times < 40; times += 1) {
        const payload = randomBytes(times * 100);
        assert.ok(verifySignature(signer.key, await signer.sign(payload), payload));
      }
    }
  });
}

test('openReference() tells which keys an ssh-agent holds when it has not the one that is wanted', async (t) => {
  const agent = await startAgent(t);
  if (agent === undefined) return;
  const fingerprint = await agent.add('release', '-t', 'ed25519');
  await assert.rejects(openReference('ssh-agent:nobody', accessOf({ env: agent.env })), {
    code: 'keys/signer-failed',
    message: new RegExp(`holds no key "nobody": it holds "${fingerprint.replaceAll('+', '\\+')} \\(release\\)"`, 'u'),
  });
  await assert.rejects(openReference('ssh-agent:', accessOf({ env: agent.env })), { code: 'keys/bad-reference' });
});

test('openReference() refuses a comment that two keys of an ssh-agent have', async (t) => {
  const agent = await startAgent(t);
  if (agent === undefined) return;
  const fingerprint = await agent.add('release', '-t', 'ed25519');
  await agent.add('release', '-t', 'ed25519');
  await assert.rejects(openReference('ssh-agent:release', accessOf({ env: agent.env })), { message: /2 keys of the agent are called/u });
  await openReference(`ssh-agent:${fingerprint}`, accessOf({ env: agent.env }));
});

test('openReference() refuses keys of an ssh-agent whose signatures are none of TUF', async (t) => {
  const agent = await startAgent(t);
  if (agent === undefined) return;
  await agent.add('old padding', '-t', 'rsa', '-b', '2048');
  await agent.add('long', '-t', 'ecdsa', '-b', '384');
  for (const name of ['old padding', 'long']) {
    await assert.rejects(openReference(`ssh-agent:${name}`, accessOf({ env: agent.env })), {
      code: 'keys/signer-failed',
      message: /in a way that is none of TUF's; expected ed25519 or ECDSA P-256/u,
    });
  }
});

test('openReference() says keys/signer-failed when an ssh-agent is locked between being asked and signing', async (t) => {
  const agent = await startAgent(t);
  if (agent === undefined) return;
  await agent.add('release', '-t', 'ed25519');
  const signer = await openReference('ssh-agent:release', accessOf({ env: agent.env }));
  await agent.ssh('ssh-add', '-q', '-D');
  await assert.rejects(signer.sign(randomBytes(8)), { code: 'keys/signer-failed', message: /the agent did not sign/u });
});

test('openReference() says what is wrong when no ssh-agent answers', async (t) => {
  const directory = await temporaryDirectory(t);
  await writeFile(join(directory, 'file'), '');
  const silent = createServer((socket) => socket.end()).listen(join(directory, 'silent'));
  t.after(() => silent.close());
  for (const env of [
    {},
    { SSH_AUTH_SOCK: '' },
    { SSH_AUTH_SOCK: join(directory, 'missing') },
    { SSH_AUTH_SOCK: join(directory, 'file') },
    { SSH_AUTH_SOCK: join(directory, 'silent') },
  ]) {
    await assert.rejects(openReference('ssh-agent:release', accessOf({ env })), { code: 'keys/signer-failed', message: /SSH_AUTH_SOCK/u });
  }
});
