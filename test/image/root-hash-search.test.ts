/** Where a boot image says which root image it boots. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { RootHashSearch, type RootHashes } from '../../lib/image/root-hash-search.ts';

const ROOT = '5e'.repeat(32);
const OTHER = 'c0'.repeat(32);
const SALT = 'ab'.repeat(32);
/** As Bottlerocket's build writes it into grub.cfg. */
const GRUB = `linux ($root)/vmlinuz console=tty0 root=/dev/dm-0 rootwait ro \\
    dm-mod.create="root,,,ro,0 1884160 verity 1 PARTUUID=$boot_uuid/PARTNROFF=1 PARTUUID=$boot_uuid/PARTNROFF=2 4096 4096 235520 1 sha256 ${ROOT} ${SALT} 2 restart_on_corruption ignore_zero_blocks" \\
    -- systemd.log_target=journal-or-kmsg\n`;
const TABLE = { dataBlockBytes: 4096, hashBlockBytes: 4096, dataBlocks: 235_520, hashStart: 1, algorithm: 'sha256', salt: SALT };

function search(text: string | Uint8Array, { wanted = ROOT, chunkBytes = 1 << 20 } = {}): RootHashes {
  const found = new RootHashSearch(wanted);
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += chunkBytes) found.write(bytes.subarray(at, at + chunkBytes));
  return found.end();
}

test('RootHashSearch finds the device-mapper table of grub.cfg between any bytes, wherever chunks end', () => {
  const image = Buffer.concat([randomBytes(5000), Buffer.from(GRUB), randomBytes(5000)]);
  for (const chunkBytes of [1, 7, 4096, 5100, 1 << 20]) {
    const { stated, isMentioned } = search(image, { chunkBytes });
    assert.deepEqual(stated, [{ rootHash: ROOT, table: TABLE }]);
    assert.equal(isMentioned, true);
  }
});

test('RootHashSearch reads what other systems write', () => {
  const lines: Readonly<Record<string, string>> = {
    systemd: `quiet roothash=${ROOT} rw`,
    'a quoted one': `roothash="${ROOT}"`,
    bootconfig: `kernel.roothash = ${ROOT}\n`,
    Flatcar: `verity.usrhash=${ROOT}`,
    'Chrome OS': `dm="1 vroot none ro 1,0 3891200 verity payload=PARTUUID=%U/PARTNROFF=1 root_hexdigest=${ROOT} salt=00"`,
    'upper case': `roothash=${ROOT.toUpperCase()}`,
  };
  for (const [name, line] of Object.entries(lines)) assert.deepEqual(search(line).stated, [{ rootHash: ROOT }], name);
  const noSalt = GRUB.replace(SALT, '-');
  assert.deepEqual(search(noSalt).stated, [{ rootHash: ROOT, table: { ...TABLE, salt: '' } }]);
});

test('RootHashSearch takes other digests for nothing, and the wanted one for a mention wherever it stands', () => {
  const { stated, isMentioned } = search(`sha256:${OTHER} roothash=$HASH roothash=12 myroothash=${OTHER} ${ROOT}`);
  assert.deepEqual(stated, []);
  assert.equal(isMentioned, true);
  assert.equal(search(OTHER).isMentioned, false);
  assert.equal(search(ROOT.toUpperCase()).isMentioned, true);
});

test('RootHashSearch tells each statement once, and is not flooded', () => {
  assert.equal(search(GRUB + GRUB + GRUB.replace(ROOT, OTHER), { chunkBytes: 500 }).stated.length, 2);
  const many = Array.from({ length: 1000 }, () => `roothash=${randomBytes(32).toString('hex')} `).join('');
  assert.equal(search(many).stated.length, 64);
});
