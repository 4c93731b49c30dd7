/** Publishing over a repository that delegates, as another tool made it: what is not ours to change stays as it is. */
import assert from 'node:assert/strict';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { openRepository, type RepositoryClient } from '../../lib/client/index.ts';
import { generatePrivateKey } from '../../lib/keys/generate.ts';
import { openKeySigner } from '../../lib/keys/key-file.ts';
import { signerFromKeyObject } from '../../lib/keys/key-signer.ts';
import type { Signer } from '../../lib/keys/signer.ts';
import { readLive } from '../../lib/publish/live.ts';
import { stateRepository } from '../../lib/publish/publish.ts';
import { startStaticServer } from '../../lib/server/static-server.ts';
import { tufDate } from '../../lib/tuf/date.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import type { Role, SignedRole } from '../../lib/tuf/types.ts';
import { METAL, addVersion, engineerWithRelease, publish, sign, type Engineer } from '../support/engineer.ts';
import { metaOf, seal } from '../support/simulator.ts';

const NOTE = Buffer.from('of the team');
const NOTE_PATH = 'team/note.txt';

async function signerOf(engineer: Engineer, name: string): Promise<Signer> {
  return openKeySigner(join(engineer.keysDirectory, `${name}.pem`), { name, passphrase: async () => '' });
}

/** The next publication, made by hand: `targets` delegates `team/*` to a role with a key of its own. */
async function delegateByHand(engineer: Engineer): Promise<string> {
  const live = await readLive(engineer.workspace, engineer.store, METAL);
  const { published } = live.trusted;
  assert.ok(published !== undefined);
  const folder = join(engineer.storeDirectory, 'metal', 'x86_64');
  const [targetsKey, online] = await Promise.all([signerOf(engineer, 'targets'), signerOf(engineer, 'online')]);
  const team = signerFromKeyObject(await generatePrivateKey('ed25519'));
  const put = async (file: string, role: SignedRole): Promise<void> => writeFile(join(folder, file), role.bytes);
  const common = { spec_version: '1.0.0', version: 1, expires: tufDate(new Date('2027-01-01')) } as const;
  const note = { length: NOTE.length, hashes: { sha256: sha256Hex(NOTE) } };
  const teamRole = await seal<Role>({ ...common, _type: 'targets', targets: { [NOTE_PATH]: note } }, [team]);
  const role = { name: 'team', keyids: [team.keyId], threshold: 1, terminating: true, paths: ['team/*'] };
  const targets = await seal({ ...published.targets.role, version: 2, delegations: { keys: { [team.keyId]: team.key }, roles: [role] } }, [
    targetsKey,
  ]);
  const meta = { 'targets.json': metaOf(targets), 'team.json': metaOf(teamRole) };
  const snapshot = await seal({ ...published.snapshot.role, version: 2, meta }, [online]);
  const timestamp = await seal({ ...published.timestamp.role, version: 2, meta: { 'snapshot.json': metaOf(snapshot) } }, [online]);
  await put('1.team.json', teamRole);
  await put('2.targets.json', targets);
  await put('2.snapshot.json', snapshot);
  await put('timestamp.json', timestamp);
  return sha256Hex(NOTE);
}

async function hostOf(t: TestContext, engineer: Engineer, name: string): Promise<RepositoryClient> {
  const server = await startStaticServer({ directory: engineer.storeDirectory });
  t.after(async () => server.close());
  const client = await openRepository({
    root: await readFile(join(engineer.workspace.directory, '1.root.json')),
    metadataUrl: new URL('metal/x86_64/', server.url),
    stateDirectory: join(engineer.directory, name),
    now: () => engineer.now,
  });
  t.after(() => client.close());
  await client.refresh();
  return client;
}

test('publishRepository() keeps a delegation that somebody else made, and its role is not written again', async (t) => {
  const engineer = await engineerWithRelease(t, '1.0.0');
  const sha256 = await delegateByHand(engineer);
  const before = await hostOf(t, engineer, 'before');
  assert.equal((await before.target(NOTE_PATH)).sha256, sha256);
  const team = await readFile(join(engineer.storeDirectory, 'metal', 'x86_64', '1.team.json'));
  await addVersion(engineer, '1.1.0');
  await sign(engineer);
  const { plan } = await stateRepository(engineer.workspace, engineer.store, METAL, engineer.now);
  assert.deepEqual(
    plan.writes.filter(({ path }) => path.startsWith('metal/')).map(({ path }) => path.replace('metal/x86_64/', '')),
    ['3.targets.json', '3.snapshot.json', 'timestamp.json'],
  );
  await publish(engineer);
  const after = await hostOf(t, engineer, 'after');
  assert.equal((await after.target(NOTE_PATH)).sha256, sha256);
  assert.deepEqual(
    (await after.manifest()).updates.map(({ version }) => version),
    ['1.0.0', '1.1.0'],
  );
  assert.equal(after.roles().targets.version, 3);
  assert.deepEqual(await readFile(join(engineer.storeDirectory, 'metal', 'x86_64', '1.team.json')), team);
  assert.equal((await readdir(join(engineer.storeDirectory, 'metal', 'x86_64'))).filter((name) => name.endsWith('team.json')).length, 1);
});
