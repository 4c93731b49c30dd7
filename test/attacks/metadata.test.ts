/** Attacks on metadata: what a server, or a thief of one key, can try. Each is refused with a code and a sentence, and nothing of it stays. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { isGantryError, type ErrorCode } from '../../lib/errors.ts';
import { refreshRepository } from '../../lib/publish/refresh.ts';
import { draftRoot, specOf } from '../../lib/repository/root-draft.ts';
import { openKeySigner } from '../../lib/keys/key-file.ts';
import { parseEnvelope, sealEnvelope } from '../../lib/tuf/role.ts';
import { signingPayload } from '../../lib/tuf/payload.ts';
import { requireRootChain, saveRootDraft } from '../../lib/workspace/root-files.ts';
import { METAL, addVersion, keyOf, makeKey, publish, sign } from '../support/engineer.ts';
import { endless, redirectTo, send, stallAfter } from '../support/hostile-server.ts';
import { hostScene, stateFiles, type HostScene } from '../support/host.ts';

async function metadata(scene: HostScene, name: string): Promise<Buffer> {
  return readFile(scene.stored('metal', 'x86_64', name));
}

/** The refresh is refused; what was trusted before is still there, byte for byte. */
async function assertRefused(scene: HostScene, code: ErrorCode, message: RegExp): Promise<void> {
  // A first refresh that fails leaves the root that the host was born with.
  const names = ['timestamp.json', 'snapshot.json', 'targets.json'];
  const read = async (): Promise<readonly (string | undefined)[]> =>
    Promise.all(names.map(async (name) => readFile(join(scene.stateDirectory, name), 'utf8').catch(() => undefined)));
  const before = await read();
  const client = await scene.open();
  await assert.rejects(client.refresh(), (error) => {
    assert.ok(isGantryError(error), String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });
  assert.deepEqual(await read(), before);
  assert.deepEqual(
    (await stateFiles(scene.stateDirectory)).filter((name) => name.startsWith('.')),
    [],
  );
}

async function trusting(scene: HostScene): Promise<void> {
  await (await scene.open()).refresh();
}

async function publishAnother(scene: HostScene, version: string): Promise<void> {
  await addVersion(scene.engineer, version);
  await sign(scene.engineer);
  await publish(scene.engineer);
}

test('rollback: an old timestamp is refused', async (t) => {
  const scene = await hostScene(t);
  const old = await metadata(scene, 'timestamp.json');
  await publishAnother(scene, '1.1.0');
  await trusting(scene);
  scene.server.lies.set('timestamp.json', send(old));
  await assertRefused(scene, 'client/rollback', /Cannot accept timestamp version 1: version 2 is already trusted/u);
});

test('rollback: an old snapshot behind a new timestamp is refused', async (t) => {
  const scene = await hostScene(t);
  const old = await metadata(scene, '1.snapshot.json');
  await trusting(scene);
  await publishAnother(scene, '1.1.0');
  scene.server.lies.set('2.snapshot.json', send(old));
  await assert.rejects((await scene.open()).refresh(), (error) => isGantryError(error) && error.code.startsWith('client/'));
});

test('mix-and-match: targets of another publication are refused', async (t) => {
  const scene = await hostScene(t);
  const old = await metadata(scene, '1.targets.json');
  await trusting(scene);
  await publishAnother(scene, '1.1.0');
  scene.server.lies.set('2.targets.json', send(old));
  const client = await scene.open();
  await assert.rejects(client.refresh(), (error) => isGantryError(error) && error.code.startsWith('client/'));
  assert.throws(() => client.targets(), TypeError);
});

test('freeze: expired metadata is refused', async (t) => {
  const scene = await hostScene(t);
  const { engineer } = scene;
  engineer.now = new Date(Date.now() - 30 * 86_400_000);
  await refreshRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now, roles: 'all' });
  await sign(engineer);
  await publish(engineer);
  await assertRefused(scene, 'client/expired', /Cannot accept timestamp version 2: it expired at .*; this machine's clock says/u);
});

test('endless data: a timestamp without end is cut at its limit', async (t) => {
  const scene = await hostScene(t);
  scene.server.lies.set('timestamp.json', endless());
  await assertRefused(scene, 'http/too-long', /more than 16384 bytes/u);
});

test('slow retrieval: a server that stops sending is given up on', async (t) => {
  const scene = await hostScene(t);
  scene.server.lies.set('timestamp.json', stallAfter(10));
  await assertRefused(scene, 'http/stalled', /no byte came for 0.5 s/u);
});

test('error page: HTML with status 200 is refused as what it is', async (t) => {
  const scene = await hostScene(t);
  scene.server.lies.set('timestamp.json', send(Buffer.from('<html>Sign in to the Wi-Fi</html>')));
  await assertRefused(scene, 'client/untrusted', /not JSON.*<html>Sign in/u);
});

test('redirect: a server that sends us elsewhere is not followed', async (t) => {
  const scene = await hostScene(t);
  scene.server.lies.set('timestamp.json', redirectTo('http://evil.example/timestamp.json'));
  await assertRefused(scene, 'http/redirected', /evil\.example/u);
});

test('missing: a server error while asking for the next root is not the end of the chain', async (t) => {
  const scene = await hostScene(t);
  scene.server.lies.set('2.root.json', send(Buffer.from('overloaded'), 503));
  await assertRefused(scene, 'http/status', /503/u);
});

test('missing: 403 ends the root chain with a notice', async (t) => {
  const scene = await hostScene(t);
  scene.server.lies.set('2.root.json', send(Buffer.from('denied'), 403));
  const client = await scene.open();
  await client.refresh();
  assert.match(client.notices.join('\n'), /403.*end of the root chain/u);
});

test('torn upload: a timestamp that names a missing snapshot is refused, and the next refresh works', async (t) => {
  const scene = await hostScene(t);
  await trusting(scene);
  await publishAnother(scene, '1.1.0');
  scene.server.lies.set('2.snapshot.json', send(Buffer.from('not found'), 404));
  const client = await scene.open();
  await assert.rejects(client.refresh(), { code: 'http/missing', message: /"2\.snapshot\.json" is missing/u });
  scene.server.lies.clear();
  await client.refresh();
  assert.equal(client.roles().timestamp.version, 2);
});

test('key compromise: a timestamp signed by a removed key is refused', async (t) => {
  const scene = await hostScene(t);
  const { engineer } = scene;
  const spec = specOf((await requireRootChain(engineer.workspace)).latest.role);
  const fresh = await makeKey(engineer, 'online-2');
  for (const keys of [[keyOf(engineer, 'online'), fresh], [fresh]]) {
    const { latest } = await requireRootChain(engineer.workspace);
    const online = { keys, threshold: 1 };
    await saveRootDraft(
      engineer.workspace,
      draftRoot({ ...spec, snapshot: online, timestamp: online }, engineer.now, engineer.workspace.expiry, latest.role),
    );
    await sign(engineer);
    await publish(engineer);
    await refreshRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now, roles: 'online' });
    await sign(engineer);
    await publish(engineer);
  }
  await trusting(scene);
  const stolen = await openKeySigner(join(engineer.keysDirectory, 'online.pem'), { name: 'online', passphrase: async () => '' });
  const { signed } = parseEnvelope(await metadata(scene, 'timestamp.json'), 'timestamp');
  const newer = { ...signed, version: signed.version + 1 };
  const forged = sealEnvelope({ signed: newer, signatures: [await stolen.sign(signingPayload(newer))] });
  scene.server.lies.set('timestamp.json', send(forged.bytes));
  await assertRefused(scene, 'client/untrusted', /0 of 1 needed signatures are valid; signed by .* not \(or no longer\) listed/u);
});

test('key compromise: a root signed by too few is refused', async (t) => {
  const scene = await hostScene(t);
  const { engineer } = scene;
  const { latest } = await requireRootChain(engineer.workspace);
  const thief = await makeKey(engineer, 'thief');
  const spec = { ...specOf(latest.role), targets: { keys: [thief], threshold: 1 } };
  const draft = draftRoot(spec, engineer.now, engineer.workspace.expiry, latest.role);
  const one = await openKeySigner(join(engineer.keysDirectory, 'root-a.pem'), { name: 'root-a', passphrase: async () => '' });
  const forged = sealEnvelope({ ...draft, signatures: [await one.sign(signingPayload(draft.signed))] });
  await trusting(scene);
  scene.server.lies.set('2.root.json', send(forged.bytes));
  await assertRefused(scene, 'client/untrusted', /root version 2: 1 of 2 needed signatures/u);
});

test('wrong version: a root whose file name says another version is refused', async (t) => {
  const scene = await hostScene(t);
  scene.server.lies.set('2.root.json', send(await metadata(scene, '1.root.json')));
  await assertRefused(scene, 'client/untrusted', /root/u);
});

for (const name of ['root', 'timestamp', 'snapshot', 'targets'] as const) {
  test(`torn state: a damaged ${name}.json is discarded with a notice, and the host goes on`, async (t) => {
    const scene = await hostScene(t);
    await trusting(scene);
    await writeFile(join(scene.stateDirectory, `${name}.json`), '{"signed": {');
    const client = await scene.open();
    await client.refresh();
    assert.match(client.notices.join('\n'), new RegExp(`Discarded the stored ${name}\\.json`, 'u'));
    assert.deepEqual(await stateFiles(scene.stateDirectory), ['root.json', 'snapshot.json', 'targets.json', 'timestamp.json']);
    assert.ok((await readFile(join(scene.stateDirectory, `${name}.json`))).length > 100);
  });
}
