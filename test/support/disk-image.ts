/** Disks as Bottlerocket's image build lays them out, made by the tools of the machine on plain files. */
import { execFile } from 'node:child_process';
import { mkdir, open, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { imageBytes } from './bytes.ts';
import { requireTool } from './tools.ts';

const run = promisify(execFile);
const MIB = 1 << 20;

export const TYPES = {
  bios: '21686148-6449-6E6F-744E-656564454649',
  efi: 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B',
  efiBackup: 'B39CE39C-0A00-B4AB-2D11-F18F8237A21C',
  boot: '6B636168-7420-6568-2070-6C616E657421',
  root: '5526016A-1A97-4EA4-B39A-B7C8C6CA4502',
  hash: '598F10AF-C955-4456-6A99-7720068A6CEA',
  reserved: '0C5D99A5-D331-4147-BAEF-08E2B855BDC9',
  private: '440408BB-EB0B-4328-A6E5-A29038FAD706',
} as const;

export interface Planned {
  readonly type: keyof typeof TYPES;
  readonly name: string;
  readonly mib: number;
}

const bank = (set: 'A' | 'B'): readonly Planned[] => [
  { type: 'boot', name: `BOTTLEROCKET-BOOT-${set}`, mib: 4 },
  { type: 'root', name: `BOTTLEROCKET-ROOT-${set}`, mib: 16 },
  { type: 'hash', name: `BOTTLEROCKET-HASH-${set}`, mib: 1 },
  { type: 'reserved', name: `BOTTLEROCKET-RESERVED-${set}`, mib: 1 },
];

/** Two sets, in the order of rpm2img; partition n lies right behind n - 1, the first at 1 MiB. */
export const PLAN: readonly Planned[] = [
  { type: 'bios', name: 'BIOS-BOOT', mib: 1 },
  { type: 'efi', name: 'EFI-SYSTEM', mib: 2 },
  ...bank('A'),
  { type: 'efiBackup', name: 'EFI-BACKUP', mib: 2 },
  ...bank('B'),
  { type: 'private', name: 'BOTTLEROCKET-PRIVATE', mib: 1 },
];

/** Where the partitions of a plan begin, in MiB. */
export function offsetsOf(plan: readonly Planned[]): readonly number[] {
  let at = 1;
  return plan.map(({ mib }) => (at += mib) - mib);
}

/** An empty disk with this plan; sparse. */
export async function partitionDisk(path: string, plan: readonly Planned[] = PLAN): Promise<void> {
  const offsets = offsetsOf(plan);
  const end = (offsets.at(-1) ?? 1) + (plan.at(-1)?.mib ?? 0);
  await writeFile(path, '');
  await truncate(path, (end + 1) * MIB);
  const args = plan.flatMap(({ type, name, mib }, index) => {
    const [from = 0, number] = [offsets[index], index + 1];
    return [
      `--new=${number}:${from}M:${(from + mib) * 2048 - 1}`,
      `--change-name=${number}:${name}`,
      `--typecode=${number}:${TYPES[type]}`,
    ];
  });
  const bootA = plan.findIndex(({ type }) => type === 'boot') + 1;
  const flags = bootA === 0 ? [] : [`--attributes=${bootA}:set:48`, `--attributes=${bootA}:set:56`];
  await run('sgdisk', ['--clear', '--set-alignment=1', ...args, ...flags, path]);
}

export interface SetImages {
  readonly boot: string;
  readonly root: string;
  readonly hash: string;
  readonly rootHash: string;
}

const UUID = '6fd8bd60-7fd2-4fca-b0b5-c7a0ae9b2d6f';

/** Boot, root and hash image as rpm2img makes them: ext4 shrunk to its content, its verity tree, and grub.cfg with the root hash. */
export async function makeSet(directory: string, kind: 'ext4' | 'erofs' = 'ext4'): Promise<SetImages> {
  await mkdir(join(directory, 'root', 'usr'), { recursive: true });
  await mkdir(join(directory, 'boot', 'grub'), { recursive: true });
  await writeFile(join(directory, 'root', 'usr', 'program'), imageBytes(3 * MIB + 12_345, directory));
  await writeFile(join(directory, 'boot', 'vmlinuz'), imageBytes(MIB, `kernel ${directory}`));
  const images = { boot: join(directory, 'boot.ext4'), root: join(directory, 'root.ext4'), hash: join(directory, 'root.verity') };
  if (kind === 'ext4') await makeExt4(join(directory, 'root'), images.root, { label: 'BOTTLEROCKET-ROOT', mib: 16 });
  else await run('mkfs.erofs', ['-zlz4hc', images.root, join(directory, 'root')]);
  const { stdout } = await run('veritysetup', ['format', images.root, images.hash, '--salt', 'ab'.repeat(32), '--uuid', UUID]);
  const rootHash = /Root hash:\s+([0-9a-f]{64})/u.exec(stdout)?.[1] ?? '';
  const { size } = await stat(images.root);
  const table = `verity 1 PARTUUID=x/PARTNROFF=1 PARTUUID=x/PARTNROFF=2 4096 4096 ${size / 4096} 1 sha256 ${rootHash} ${'ab'.repeat(32)}`;
  await writeFile(join(directory, 'boot', 'grub', 'grub.cfg'), `linux /vmlinuz dm-mod.create="root,,,ro,0 ${size / 512} ${table}"\n`);
  await makeExt4(join(directory, 'boot'), images.boot, { label: 'BOTTLEROCKET-BOOT', mib: 4 });
  return { ...images, rootHash };
}

/** A file system that was made as large as its partition, and then shrunk. */
export async function makeExt4(
  source: string,
  path: string,
  { label, mib, shrink = true }: { readonly label: string; readonly mib: number; readonly shrink?: boolean },
): Promise<void> {
  await run('mke2fs', ['-q', '-t', 'ext4', '-F', '-b', '4096', '-L', label, '-d', source, path, `${mib}M`]);
  if (shrink) await run('resize2fs', ['-M', path]);
}

/** Puts images into the partitions of a disk, as dd does. */
export async function fillDisk(path: string, contents: ReadonlyMap<number, string>, plan: readonly Planned[] = PLAN): Promise<void> {
  const disk = await open(path, 'r+');
  try {
    for (const [number, image] of contents) {
      await disk.write(await readFile(image), undefined, undefined, (offsetsOf(plan)[number - 1] ?? 0) * MIB);
    }
  } finally {
    await disk.close();
  }
}

export interface BottlerocketDisk {
  readonly disk: string;
  readonly a: SetImages;
  readonly b: SetImages;
}

/** Numbers of boot, root and hash in `PLAN`. */
export const SET_NUMBERS = { a: [3, 4, 5], b: [8, 9, 10] } as const;

export async function makeBottlerocketDisk(directory: string): Promise<BottlerocketDisk> {
  await mkdir(directory, { recursive: true });
  const disk = join(directory, 'disk.img');
  const [a, b] = [await makeSet(join(directory, 'a')), await makeSet(join(directory, 'b'), 'erofs')];
  await partitionDisk(disk);
  const contents = (numbers: readonly number[], set: SetImages): readonly (readonly [number, string])[] =>
    [set.boot, set.root, set.hash].map((image, index) => [numbers[index] ?? 0, image]);
  await fillDisk(disk, new Map([...contents(SET_NUMBERS.a, a), ...contents(SET_NUMBERS.b, b)]));
  return { disk, a, b };
}

/** Everything that `makeBottlerocketDisk` runs. */
export function requireDiskTools(t: TestContext): boolean {
  return ['sgdisk', 'mke2fs', 'resize2fs', 'mkfs.erofs', 'veritysetup'].every((tool) => requireTool(t, tool));
}
