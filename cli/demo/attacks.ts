/** What the demo's thief does, with the host looking on. Each returns only when the host accepted it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openKeySigner } from '../../lib/keys/key-file.ts';
import { parseEnvelope, sealEnvelope } from '../../lib/tuf/role.ts';
import { signingPayload } from '../../lib/tuf/payload.ts';
import { need, paths, tamper, type Scene } from './scene.ts';

function timestampPath(scene: Scene): string {
  const { variant, arch } = scene.repository;
  return join(paths(scene).store, variant, arch, 'timestamp.json');
}

/** One flipped bit in the middle of the published root image. */
export async function withAlteredTarget(scene: Scene): Promise<void> {
  const host = need(scene.host, 'host');
  const [update] = await host.availableUpdates({ ...scene.repository, seed: 'ignore-waves' });
  const target = await host.target(need(update, 'update').images.root);
  const path = join(paths(scene).store, 'targets', target.path.publishedName(target.digest.hex));
  const flip = (bytes: Buffer): Uint8Array => {
    const middle = Math.floor(bytes.length / 2);
    bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
    return bytes;
  };
  await tamper(path, flip, async () => host.download(target, join(paths(scene).host, 'root.img.zst')));
}

/** An old timestamp, as an attacker on the path would have kept it. */
export const replayTimestamp = {
  keep: async (scene: Scene): Promise<Uint8Array> => readFile(timestampPath(scene)),
  attack: async (scene: Scene): Promise<void> => {
    const old = need(scene.oldTimestamp, 'old timestamp');
    await tamper(
      timestampPath(scene),
      () => old,
      async () => need(scene.host, 'host').refresh(),
    );
  },
};

/** A newer timestamp, signed with a key that the root no longer lists. */
export async function forgeTimestamp(scene: Scene): Promise<void> {
  const stolen = await openKeySigner(join(paths(scene).keys, 'online.pem'), {
    name: 'online',
    passphrase: async () => Promise.reject(new RangeError('the keys of the demo have no passphrase')),
  });
  const { signed } = parseEnvelope(await readFile(timestampPath(scene)), 'timestamp');
  const newer = { ...signed, version: signed.version + 1 };
  const forged = sealEnvelope({ signed: newer, signatures: [await stolen.sign(signingPayload(newer))] });
  await tamper(
    timestampPath(scene),
    () => forged.bytes,
    async () => need(scene.host, 'host').refresh(),
  );
}
