/** Files that are not the ones which were signed: of another length, another digest, cut, with a bit flipped, or something else. */
import { attacks, serving, type Attack, type AttackScene, type Kept } from '../support/attack.ts';
import { METADATA } from '../support/simulator.ts';
import type { MetaFile } from '../../lib/tuf/types.ts';

const KEPT: Readonly<Record<string, Kept>> = {
  root: [1, 2, 2, 2, 2],
  timestamp: [1, 2, 2, 2, 2],
  snapshot: [1, 3, 2, 2, 2],
  targets: [1, 3, 3, 2, 2],
  team: [1, 3, 3, 3, 2],
};
const FILE: Readonly<Record<string, string>> = { root: '2.root.json', timestamp: 'timestamp.json' };
const fileOf = (role: string): string => FILE[role] ?? `3.${role}.json`;
const named = Object.keys(KEPT).filter((role) => role !== 'root' && role !== 'timestamp');

const LENGTHS: Readonly<Record<string, { readonly meta: (meta: MetaFile) => object; readonly code?: Attack['code'] }>> = {
  'a length that is one too small': { meta: (meta) => ({ ...meta, length: (meta.length ?? 0) - 1 }), code: 'http/too-long' },
  'a length that is one too large': { meta: (meta) => ({ ...meta, length: (meta.length ?? 0) + 1 }) },
  'a negative length': { meta: (meta) => ({ ...meta, length: -1 }) },
  'the digest of another file': { meta: (meta) => ({ ...meta, hashes: { sha256: '00'.repeat(32) } }) },
  'a digest of an unknown kind': { meta: (meta) => ({ ...meta, hashes: { 'sha-666': '00' } }) },
  'one right digest and one wrong': { meta: (meta) => ({ ...meta, hashes: { ...meta.hashes, sha512: '00' } }) },
};

const parentKept: Readonly<Record<string, Kept>> = { snapshot: [1, 2, 2, 2, 2], targets: [1, 3, 2, 2, 2], team: [1, 3, 2, 2, 2] };

for (const [what, { meta, code = 'client/untrusted' }] of Object.entries(LENGTHS)) {
  attacks(
    what,
    Object.fromEntries(
      named.map((role): [string, Attack] => [
        `named by the parent of ${role}`,
        // What is no length at all is refused with the parent.
        { attack: { [role]: { meta } }, code, kept: (what.startsWith('a negative') ? parentKept[role] : KEPT[role]) ?? [0, 0, 0, 0, 0] },
      ]),
    ),
  );
}

/** Everything is published as it should be, and this file is then damaged. */
function damaged(role: string, damage: (bytes: Buffer) => Uint8Array): (scene: AttackScene) => Promise<void> {
  return async ({ world }) => {
    await world.publish({}, role === 'root' ? ['root'] : undefined);
    const file = fileOf(role);
    world.files.set(METADATA + file, damage(Buffer.from(world.metadata(file))));
  };
}

const flip = (part: number) => (bytes: Buffer) => {
  const at = Math.floor((bytes.length - 1) * part);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  return bytes;
};
const PARTS = [0, 0.13, 0.29, 0.41, 0.53, 0.67, 0.79, 0.93, 1];
const DAMAGE: Readonly<Record<string, (bytes: Buffer) => Uint8Array>> = {
  ...Object.fromEntries(PARTS.map((part) => [`a bit is flipped at ${part * 100} % of`, flip(part)])),
  ...Object.fromEntries(
    [0.25, 0.5, 0.75, 0.99].map((part) => [
      `nothing is left after ${part * 100} % of`,
      (bytes: Buffer) => bytes.subarray(0, Math.floor(bytes.length * part)),
    ]),
  ),
  'a web page stands in the place of': () => Buffer.from('<html>Sign in to the Wi-Fi</html>'),
  'nothing stands in the place of': () => Buffer.alloc(0),
  'null stands in the place of': () => Buffer.from('null'),
  'a list stands in the place of': () => Buffer.from('[]'),
  'a byte order mark stands in front of': (bytes) => Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), bytes]),
  'deep nesting stands in the place of': () => Buffer.from('['.repeat(8000) + ']'.repeat(8000)),
};

for (const [what, damage] of Object.entries(DAMAGE)) {
  attacks(
    'damage',
    Object.fromEntries(
      Object.entries(KEPT).map(([role, kept]): [string, Attack] => [
        `${what} ${fileOf(role)}`,
        {
          attack: damaged(role, damage),
          twin: async ({ world }) => world.publish({}, role === 'root' ? ['root'] : undefined),
          // Of a file that is too long for its signed length not even the end is read.
          code:
            what.startsWith('a byte order') && named.includes(role)
              ? 'http/too-long'
              : what.startsWith('deep') && named.includes(role)
                ? 'http/too-long'
                : 'client/untrusted',
          kept,
        },
      ]),
    ),
  );
}

attacks('another role', {
  'a snapshot as timestamp': {
    attack: serving('timestamp.json', ({ world }) => world.metadata('3.snapshot.json')),
    code: 'client/untrusted',
    role: 'timestamp',
    kept: KEPT['timestamp'] ?? [0, 0, 0, 0, 0],
  },
  'targets as root': {
    attack: serving('2.root.json', ({ world }) => world.metadata('3.targets.json')),
    code: 'client/untrusted',
    role: 'root',
    kept: [1, 2, 2, 2, 2],
  },
});
