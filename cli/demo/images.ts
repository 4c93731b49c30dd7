/**
 * Partition images of real content, made from files that every machine with Node has: Node itself, the libraries it has
 * loaded, and this package. The root image is a tar archive padded to whole 4 KiB blocks; the hash image is its real
 * dm-verity tree, and the boot image names its root hash as Bottlerocket's does.
 */
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pack, type Pack } from 'tar-stream';
import { createAtomicWriter } from '../../lib/files/atomic.ts';
import { openStableFile } from '../../lib/files/read.ts';
import { buildVerityTree, verityIdentityOf, type VerityTree } from '../../lib/image/verity.ts';

const MIB = 1 << 20;
const BLOCK = 4096;
/** The issue of a demo that is quick and still worth watching. */
const ROOT_IMAGE_BYTES = 64 * MIB;
const BOOT_IMAGE_BYTES = 4 * MIB;

export interface DemoImages {
  readonly boot: string;
  readonly root: string;
  readonly hash: string;
}

/** Writes `boot.img`, `root.img` and `hash.img` of one version into a directory that exists. */
export async function writeDemoImages(directory: string, version: string): Promise<DemoImages> {
  const images = { boot: join(directory, 'boot.img'), root: join(directory, 'root.img'), hash: join(directory, 'hash.img') };
  const files = await realFiles();
  const osRelease = `NAME="Gantry demo"\nVERSION_ID=${version}\n`;
  await writeArchive(images.root, { first: ['etc/os-release', osRelease], files, sizeBytes: ROOT_IMAGE_BYTES });
  const grub = grubConfig(await writeVerity(images));
  await writeArchive(images.boot, { first: ['grub/grub.cfg', grub], files: files.toReversed(), sizeBytes: BOOT_IMAGE_BYTES });
  return images;
}

function grubConfig({ rootHash, superblock }: VerityTree): string {
  const { dataBlocks, salt } = superblock;
  const devices = 'PARTUUID=$boot_uuid/PARTNROFF=1 PARTUUID=$boot_uuid/PARTNROFF=2';
  const target = `verity 1 ${devices} ${BLOCK} ${BLOCK} ${dataBlocks} 1 sha256 ${rootHash} ${Buffer.from(salt).toString('hex')}`;
  const table = `root,,,ro,0 ${(dataBlocks * BLOCK) / 512} ${target} 2 restart_on_corruption ignore_zero_blocks`;
  return `linux /vmlinuz root=/dev/dm-0 dm-mod.create="${table}"\n`;
}

/** Largest first, so that the same files fill the image on every run. */
async function realFiles(): Promise<readonly string[]> {
  const candidates = new Set([process.execPath, ...sharedLibraries(), ...(await packageFiles())]);
  const sized: { path: string; size: number }[] = [];
  for (const path of candidates) {
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile() === true && found.size > 0) sized.push({ path, size: found.size });
  }
  sized.sort((a, b) => b.size - a.size || (a.path < b.path ? -1 : 1));
  return sized.map(({ path }) => path);
}

function sharedLibraries(): readonly string[] {
  const report: unknown = process.report.getReport();
  if (typeof report !== 'object' || report === null || !('sharedObjects' in report)) return [];
  const { sharedObjects } = report;
  return Array.isArray(sharedObjects) ? sharedObjects.filter((path): path is string => typeof path === 'string') : [];
}

async function packageFiles(): Promise<readonly string[]> {
  const here = dirname(fileURLToPath(import.meta.url));
  const entries = await readdir(join(here, '..', '..'), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

interface Content {
  /** A small file, in front of the others. */
  readonly first: readonly [name: string, text: string];
  readonly files: readonly string[];
  readonly sizeBytes: number;
}

async function writeArchive(path: string, options: Content): Promise<void> {
  const archive = pack();
  const filling = fill(archive, options).then(
    () => archive.finalize(),
    (error: unknown) => archive.destroy(error instanceof Error ? error : new Error(String(error))),
  );
  const writer = await createAtomicWriter(path, { overwrite: 'replace' });
  try {
    let length = 0;
    // Proof: a pack is a readable stream of buffers; its types do not say so.
    for await (const bytes of archive as AsyncIterable<Buffer>) {
      length += bytes.length;
      await writer.write(bytes);
    }
    await filling;
    const whole = Math.ceil(Math.max(length, options.sizeBytes) / BLOCK) * BLOCK;
    await writer.write(new Uint8Array(whole - length));
    await writer.commit();
  } catch (error) {
    await writer.discard();
    throw error;
  }
}

/** Adds files until the archive has its size; the last one is cut. */
async function fill(archive: Pack, { first: [name, text], files, sizeBytes }: Content): Promise<void> {
  const mtime = new Date(0);
  archive.entry({ name, mtime }, text);
  let left = sizeBytes - BLOCK;
  while (left > 0) {
    for (const file of files) {
      if (left <= 0) break;
      const size = Math.min((await stat(file)).size, left);
      const entry = archive.entry({ name: `usr/lib/${left}-${basename(file)}`, size, mtime });
      for await (const chunk of createReadStream(file, { end: size - 1, highWaterMark: MIB })) {
        if (!entry.write(chunk)) await once(entry, 'drain');
      }
      entry.end(new Uint8Array());
      left -= size + BLOCK;
    }
  }
}

async function writeVerity(images: DemoImages): Promise<VerityTree> {
  const root = await openStableFile(images.root);
  const writer = await createAtomicWriter(images.hash, { overwrite: 'replace' });
  try {
    const options = { ...verityIdentityOf('demo-os'), imageBytes: root.lengthBytes };
    const tree = await buildVerityTree(root.read(), options, async (bytes, position) => writer.write(bytes, position));
    await writer.commit();
    return tree;
  } catch (error) {
    await writer.discard();
    throw error;
  } finally {
    await root.close();
  }
}
