/** What `gantry sign` shows, asks, signs and refuses, and what is on disk when it stops. */
import assert from 'node:assert/strict';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { GantryError } from '../../lib/errors.ts';
import { passphraseFrom } from '../../lib/keys/passphrase.ts';
import { generatePrivateKey } from '../../lib/keys/generate.ts';
import { writeKeyFile } from '../../lib/keys/key-file.ts';
import { signDrafts, type SigningReport } from '../../lib/publish/sign.ts';
import type { SigningAsk } from '../../lib/publish/signing.ts';
import { draftRoot, specOf } from '../../lib/repository/root-draft.ts';
import { publicKeyFromKeyObject } from '../../lib/tuf/key.ts';
import type { Root } from '../../lib/tuf/types.ts';
import { rememberKey } from '../../lib/workspace/key-ring.ts';
import { draftPath } from '../../lib/workspace/draft-files.ts';
import { readRootChain, readRootDraft, saveRootDraft } from '../../lib/workspace/root-files.ts';
import { METAL, addVersion, engineerWithRoot, keyOf, makeKey, newEngineer, sign, usualSpec, type Engineer } from '../support/engineer.ts';

async function signAsking(engineer: Engineer, ask: (ask: SigningAsk) => Promise<boolean>): Promise<SigningReport> {
  const { workspace, store, keysDirectory, now } = engineer;
  return signDrafts(workspace, store, { keysDirectory, passphrases: passphraseFrom({ env: {} }), now, ask });
}

/** Takes the private key away, and gives it back. */
async function withoutKey(engineer: Engineer, name: string): Promise<() => Promise<void>> {
  const away = join(engineer.directory, 'away');
  await mkdir(away, { recursive: true });
  const [here, there] = [join(engineer.keysDirectory, `${name}.pem`), join(away, `${name}.pem`)];
  await rename(here, there);
  return async () => rename(there, here);
}

async function draftNextRoot(engineer: Engineer, change: (root: Root) => Root): Promise<void> {
  const chain = await readRootChain(engineer.workspace);
  const { role } = chain?.latest ?? assert.fail();
  const draft = draftRoot(specOf(role), engineer.now, engineer.workspace.expiry, role);
  await saveRootDraft(engineer.workspace, { ...draft, signed: change(draft.signed) });
}

test('signDrafts() shows a release once, and signs what follows from it without asking', async (t) => {
  const engineer = await engineerWithRoot(t);
  await addVersion(engineer, '1.0.0');
  const asked: SigningAsk[] = [];
  const report = await signAsking(engineer, async (ask) => asked.push(ask) > 0);
  assert.deepEqual(
    asked.map(({ views, mine, repository }) => [repository, ...views.map(({ role }) => role), mine]),
    [[METAL, 'targets', [report.items[0]?.signedBy[0]]]],
  );
  assert.equal(asked[0]?.views[0]?.sentences[0], 'adds release 1.0.0 of metal/x86_64 with 3 images');
  assert.deepEqual(
    report.items.map(({ role, reason }) => [role, reason]),
    [
      ['targets', 'signed'],
      ['snapshot', 'signed'],
      ['timestamp', 'signed'],
    ],
  );
});

test('signDrafts() signs nothing when the person says no, and the draft stays byte for byte', async (t) => {
  const engineer = await engineerWithRoot(t);
  await addVersion(engineer, '1.0.0');
  const before = await readFile(draftPath(engineer.workspace, METAL), 'utf8');
  const report = await signAsking(engineer, async () => false);
  assert.deepEqual(
    report.items.map(({ role, reason, signedBy }) => [role, reason, signedBy]),
    [['targets', 'declined', []]],
  );
  assert.equal(await readFile(draftPath(engineer.workspace, METAL), 'utf8'), before);
});

test('signDrafts() explains what is not ours to sign, and says who is missing', async (t) => {
  const engineer = await engineerWithRoot(t);
  await addVersion(engineer, '1.0.0');
  await withoutKey(engineer, 'targets');
  const asked: SigningAsk[] = [];
  const { items } = await signAsking(engineer, async (ask) => asked.push(ask) > 0);
  assert.deepEqual(
    asked.map(({ mine }) => mine),
    [[]],
  );
  assert.equal(items[0]?.reason, 'not-yours');
  assert.deepEqual(
    items[0]?.missing.map(({ have, need }) => [have, need]),
    [[0, 1]],
  );
});

test('signDrafts() tells the holder of a key that the new root adds that they are invited', async (t) => {
  const engineer = await engineerWithRoot(t);
  const added = await makeKey(engineer, 'root-d');
  const chain = (await readRootChain(engineer.workspace)) ?? assert.fail();
  const spec = specOf(chain.latest.role);
  const next = draftRoot(
    { ...spec, root: { ...spec.root, keys: [...spec.root.keys, added] } },
    engineer.now,
    engineer.workspace.expiry,
    chain.latest.role,
  );
  await saveRootDraft(engineer.workspace, next);
  const asked: SigningAsk[] = [];
  await signAsking(engineer, async (ask) => asked.push(ask) > 0);
  assert.equal(asked[0]?.invited.length, 1);
  assert.equal(asked[0]?.mine.length, 4);
  assert.equal((await readRootChain(engineer.workspace))?.latest.role.version, 2);
});

const STRANGE: Readonly<Record<string, readonly [(root: Root) => object, string]>> = {
  'a member that nobody knows': [(root) => ({ ...root, note: 'hello' }), 'repository/unexplained'],
  'a role that no client knows': [(root) => ({ ...root, roles: { ...root.roles, mirrors: root.roles.root } }), 'tuf/not-portable'],
  'a date that some client refuses': [(root) => ({ ...root, expires: '2030-01-01T00:00:00+01:00' }), 'tuf/not-portable'],
};
for (const [what, [change, code]] of Object.entries(STRANGE)) {
  test(`signDrafts() refuses a root with ${what}, and nothing is signed`, async (t) => {
    const engineer = await engineerWithRoot(t);
    await draftNextRoot(engineer, (root) => change(root) as Root);
    const path = join(engineer.workspace.directory, 'drafts', 'root.json');
    const before = await readFile(path, 'utf8');
    await assert.rejects(
      sign(engineer),
      (error) => error instanceof GantryError && (error.code === code || error.code === 'tuf/malformed'),
    );
    assert.equal(await readFile(path, 'utf8'), before);
  });
}

test('signDrafts() keeps each signature before the next key is asked for', async (t) => {
  const engineer = await newEngineer(t);
  const locked = await generatePrivateKey('ed25519');
  await writeKeyFile(engineer.keysDirectory, 'locked', locked, { passphrase: 'a passphrase' });
  const key = publicKeyFromKeyObject(locked);
  await rememberKey(engineer.workspace, 'locked', key);
  const spec = usualSpec(engineer);
  const draft = draftRoot(
    { ...spec, root: { keys: [keyOf(engineer, 'root-a'), key], threshold: 2 } },
    engineer.now,
    engineer.workspace.expiry,
  );
  await saveRootDraft(engineer.workspace, draft);
  // Nobody can tell the passphrase here: as if the process had ended at the prompt.
  await sign(engineer).catch(() => undefined);
  const [kept] = (await readRootDraft(engineer.workspace))?.signatures ?? [];
  const atHand = draft.signed.roles.root.keyids;
  assert.ok(kept !== undefined && atHand.includes(kept.keyid));
});

test('signDrafts() leaves a signature that does not count out of the root that it finishes', async (t) => {
  const engineer = await newEngineer(t);
  const draft = draftRoot(usualSpec(engineer), engineer.now, engineer.workspace.expiry);
  const [first, second] = draft.signed.roles.root.keyids;
  assert.ok(first !== undefined && second !== undefined);
  const giveBack = await withoutKey(engineer, 'root-b');
  const stray = [
    { keyid: draft.signed.roles.targets.keyids[0] ?? assert.fail(), sig: '00'.repeat(64) },
    { keyid: second, sig: '11'.repeat(64) },
  ];
  await saveRootDraft(engineer.workspace, { ...draft, signatures: stray });
  await sign(engineer);
  const root = (await readRootChain(engineer.workspace))?.latest ?? assert.fail();
  assert.equal(root.signatures.length, 2);
  assert.ok(root.signatures.every(({ sig }) => !sig.startsWith('0000') && !sig.startsWith('1111')));
  await giveBack();
});

test('signDrafts() finishes a root that has enough signatures already, and asks nobody', async (t) => {
  const engineer = await engineerWithRoot(t);
  await draftNextRoot(engineer, (root) => root);
  const draft = (await readRootDraft(engineer.workspace)) ?? assert.fail();
  await sign(engineer);
  const complete = (await readRootChain(engineer.workspace))?.latest ?? assert.fail();
  await rm(join(engineer.workspace.directory, '2.root.json'));
  await saveRootDraft(engineer.workspace, { ...draft, signatures: complete.signatures });
  const { items } = await signAsking(engineer, async () => assert.fail('asked'));
  assert.deepEqual(items, [{ role: 'root', version: 2, reason: 'complete', signedBy: [], failed: [], missing: [] }]);
  assert.equal((await readRootChain(engineer.workspace))?.latest.sha256, complete.sha256);
});
