/** A repository whose every signature was made in a token, by each kind of key, is read by every foreign client. */
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { KEY_TYPES, type KeyType } from '../../lib/keys/generate.ts';
import { generatePkcs11Key, type GeneratedTokenKey } from '../../lib/keys/pkcs11/generate.ts';
import { passphraseFrom } from '../../lib/keys/passphrase.ts';
import { signDrafts } from '../../lib/publish/sign.ts';
import { draftRoot, type RootSpec } from '../../lib/repository/root-draft.ts';
import { startStaticServer } from '../../lib/server/static-server.ts';
import { saveRootDraft } from '../../lib/workspace/root-files.ts';
import { addVersion, newEngineer, publish, type Engineer } from '../support/engineer.ts';
import { PEER_NAMES, readWithPeer, skipReason } from '../support/peers.ts';
import { accessOf } from '../support/signer-access.ts';
import { rightPin, startSoftHsm, type SoftHsm } from '../support/softhsm.ts';

async function makeAll(hsm: SoftHsm): Promise<Readonly<Record<KeyType, GeneratedTokenKey>>> {
  const access = accessOf({ pin: rightPin, env: { GANTRY_PKCS11_MODULE: hsm.library } });
  const made: [KeyType, GeneratedTokenKey][] = [];
  for (const type of KEY_TYPES) {
    const key = await generatePkcs11Key(`pkcs11:token=release;object=${type}`, type, access);
    await key.close();
    made.push([type, key]);
  }
  // The proof: one entry for each type.
  return Object.fromEntries(made) as Record<KeyType, GeneratedTokenKey>;
}

/** All three sign the root, and each one of the other roles. */
function specFor({ ed25519, ecdsa, rsa }: Readonly<Record<KeyType, GeneratedTokenKey>>): RootSpec {
  return {
    root: { keys: [ed25519.key, ecdsa.key, rsa.key], threshold: 3 },
    targets: { keys: [ecdsa.key], threshold: 1 },
    snapshot: { keys: [rsa.key], threshold: 1 },
    timestamp: { keys: [ed25519.key], threshold: 1 },
  };
}

async function publishWithTokens(engineer: Engineer, hsm: SoftHsm): Promise<void> {
  const { workspace, store, now } = engineer;
  const keys = await makeAll(hsm);
  await saveRootDraft(workspace, draftRoot(specFor(keys), now, workspace.expiry));
  const signAll = async (): Promise<void> => {
    const report = await signDrafts(workspace, store, {
      keysDirectory: join(engineer.directory, 'no keys'),
      passphrases: passphraseFrom({ env: {} }),
      pin: rightPin,
      env: { GANTRY_PKCS11_MODULE: hsm.library },
      signers: Object.values(keys).map(({ url }) => url),
      now,
    });
    assert.deepEqual(
      report.items.flatMap(({ failed }) => failed),
      [],
    );
  };
  await signAll();
  await addVersion(engineer, '1.0.0');
  await signAll();
  await publish(engineer);
}

for (const peer of PEER_NAMES) {
  const skip = await skipReason(peer);
  test(`${peer} reads what keys in a token signed`, { skip }, async (t) => {
    const hsm = await startSoftHsm(t);
    if (hsm === undefined) return;
    const engineer = await newEngineer(t, new Date());
    await publishWithTokens(engineer, hsm);
    const server = await startStaticServer({ directory: engineer.storeDirectory });
    t.after(async () => server.close());
    const out = join(engineer.directory, 'out');
    await mkdir(out);
    const report = await readWithPeer(peer, {
      rootFile: join(engineer.workspace.directory, '1.root.json'),
      metadataUrl: new URL('metal/x86_64/', server.url),
      targetsUrl: new URL('targets/', server.url),
      out,
    });
    assert.equal(report.root, 1);
    assert.ok(report.downloaded.includes('manifest.json'));
  });
}
