import type { VeritySuperblock } from '../../lib/image/verity-superblock.ts';
import type { StoredTree } from '../../lib/image/verity-verify.ts';
import type { Context } from '../context.ts';
import { isSet, pathOf, textOption } from '../options.ts';
import type { CommandSpec, OptionValues } from '../program.ts';
import { count, formatBytes } from '../ui/format.ts';

const BLOCK_BYTES = 4096;
const IMAGE = ['<image>', 'the root image: raw, lz4 or zstd'] as const;
const HASH = ['<hash>', 'its hash image'] as const;

const build: CommandSpec = {
  name: 'build',
  arguments: [IMAGE],
  summary: 'write the hash image of an image, and print the root hash',
  description:
    'The same bytes as veritysetup format writes: SHA-256, blocks of 4 KiB. The salt and the UUID are random, unless they are given or derived from a name: then the same image always gives the same hash image.',
  options: [
    { flags: '-o, --output <file>', description: 'where to', required: true },
    { flags: '--salt <hex>', description: '0 to 256 bytes; "-" for none (default: 32 random bytes)' },
    { flags: '--salt-from <name>', description: 'derive salt and UUID from a name, for example my-os/metal/x86_64' },
    { flags: '--uuid <uuid>', description: 'nothing depends on it' },
    { flags: '--force', description: 'replace the file where it is there already' },
  ],
  examples: [
    'gantry image verity build root.img -o hash.img --salt-from my-os/metal/x86_64',
    'gantry image verity build root.img -o hash.img --salt 00112233 --json',
  ],
  async run(context, [path = ''], options) {
    const [image, hash] = [pathOf(context, path), pathOf(context, textOption(options, 'output') ?? '')];
    const overwrite = isSet(options, 'force') ? 'replace' : 'refuse';
    await refuseOutput(image, hash, overwrite);
    const identity = await identityOf(options);
    const { buildHashImage } = await import('../../lib/workspace/verity-files.ts');
    const tree = await withProgress(context, 'Hashing', image, async (onProgress) =>
      buildHashImage(image, hash, { ...identity, overwrite, signal: context.signal, onProgress }),
    );
    return {
      json: { file: hash, ...describedJson(tree.superblock, tree) },
      lines: [`Wrote ${hash} (${formatBytes(tree.treeBytes)}).`, ...describe(tree.superblock, tree)],
    };
  },
};

const verify: CommandSpec = {
  name: 'verify',
  arguments: [IMAGE, HASH],
  summary: 'compare an image with its hash image, block by block',
  description:
    'First the tree in itself, then every block of the image. Says whether the superblock, the tree or the data is wrong, and which block is the first one.',
  options: [{ flags: '--root-hash <hex>', description: 'what the root hash must be' }],
  examples: ['gantry image verity verify root.img hash.img', 'gantry image verity verify root.img hash.img --root-hash 4f2a…'],
  async run(context, [path = '', hashPath = ''], options) {
    const image = pathOf(context, path);
    const expected = textOption(options, 'rootHash');
    const rootHash = expected === undefined ? undefined : await hexOf('--root-hash', expected, [32, 32]);
    const { verifyHashImage } = await import('../../lib/workspace/verity-files.ts');
    const found = await withProgress(context, 'Verifying', image, async (onProgress) =>
      verifyHashImage(image, pathOf(context, hashPath), { rootHash, signal: context.signal, onProgress }),
    );
    const tree = { ...found.tree, rootHash: found.rootHash };
    return {
      json: describedJson(tree.superblock, tree),
      lines: [`Every block of ${image} matches its digest, and the tree its root hash.`, ...describe(tree.superblock, tree)],
    };
  },
};

const show: CommandSpec = {
  name: 'show',
  arguments: [HASH],
  summary: 'show what a hash image says of its image, and whether its tree is whole',
  examples: ['gantry image verity show hash.img', 'gantry image verity show hash.img --json'],
  async run(context, [path = '']) {
    const { readHashImage } = await import('../../lib/workspace/verity-files.ts');
    const tree = await readHashImage(pathOf(context, path), context.signal);
    return { json: describedJson(tree.superblock, tree), lines: describe(tree.superblock, tree) };
  },
};

export const verity: CommandSpec = {
  name: 'verity',
  summary: 'build, verify and show dm-verity hash images',
  subcommands: [build, verify, show],
};

type Shown = Pick<StoredTree, 'rootHash' | 'treeBytes'>;

function describedJson({ salt, uuid, dataBlocks }: VeritySuperblock, { rootHash, treeBytes }: Shown): object {
  return { rootHash, salt: Buffer.from(salt).toString('hex'), uuid, dataBlocks, dataBytes: dataBlocks * BLOCK_BYTES, treeBytes };
}

function describe({ salt, uuid, dataBlocks }: VeritySuperblock, { rootHash, treeBytes }: Shown): readonly string[] {
  return [
    `root hash  ${rootHash ?? 'not in the tree of one block: it is the digest of the image'}`,
    `salt       ${salt.length === 0 ? '-' : Buffer.from(salt).toString('hex')}`,
    `uuid       ${uuid}`,
    `data       ${formatBytes(dataBlocks * BLOCK_BYTES)}, ${count(dataBlocks, 'block')} of 4 KiB`,
    `tree       ${formatBytes(treeBytes)}`,
  ];
}

/** Salt and UUID: given, derived, or random. */
async function identityOf(options: OptionValues): Promise<{ readonly salt: Uint8Array; readonly uuid: string }> {
  const [salt, name, uuid] = [textOption(options, 'salt'), textOption(options, 'saltFrom'), textOption(options, 'uuid')];
  const { GantryError, quote } = await import('../../lib/errors.ts');
  const { randomBytes, randomUUID } = await import('node:crypto');
  const { verityIdentityOf } = await import('../../lib/image/verity.ts');
  if (salt !== undefined && name !== undefined) {
    throw new GantryError('usage/option', 'Cannot use --salt together with --salt-from: expected one of them', { option: '--salt' });
  }
  if (name !== undefined && !/^[\w+.-]+(?:\/[\w+.-]+)*$/u.test(name)) {
    throw new GantryError('usage/option', `Cannot use --salt-from ${quote(name)}: expected a name such as my-os/metal/x86_64`, {
      option: '--salt-from',
    });
  }
  if (uuid !== undefined && !/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/iu.test(uuid)) {
    throw new GantryError('usage/option', `Cannot use --uuid ${quote(uuid)}: expected xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, {
      option: '--uuid',
    });
  }
  const identity = name === undefined ? { salt: randomBytes(32), uuid: randomUUID() } : verityIdentityOf(name);
  return {
    salt: salt === undefined ? identity.salt : Buffer.from(salt === '-' ? '' : await hexOf('--salt', salt, [0, 256]), 'hex'),
    uuid: uuid?.toLowerCase() ?? identity.uuid,
  };
}

/** @throws GantryError `usage/option` */
async function hexOf(option: string, text: string, [min, max]: readonly [min: number, max: number]): Promise<string> {
  if (/^(?:[0-9A-Fa-f]{2})*$/u.test(text) && text.length >= min * 2 && text.length <= max * 2) return text.toLowerCase();
  const { GantryError, quote } = await import('../../lib/errors.ts');
  const many = min === max ? `${max * 2}` : `an even number of, at most ${max * 2},`;
  throw new GantryError('usage/option', `Cannot use ${option} ${quote(text)}: expected ${many} hexadecimal digits`, { option });
}

/** Before an image is read, not after. */
async function refuseOutput(image: string, hash: string, overwrite: 'replace' | 'refuse'): Promise<void> {
  const { GantryError, quote } = await import('../../lib/errors.ts');
  if (image === hash) {
    throw new GantryError('usage/option', `Cannot use --output ${quote(hash)}: it is the image itself; expected another file`, {
      option: '--output',
    });
  }
  const { stat } = await import('node:fs/promises');
  if (overwrite === 'replace' || (await stat(hash).catch(() => undefined)) === undefined) return;
  throw new GantryError('files/exists', `Cannot write ${quote(hash)}: it is there already; expected a new name, or --force`, {
    path: hash,
  });
}

/** A bar over the bytes of the image's file. */
async function withProgress<T>(
  context: Context,
  doing: string,
  image: string,
  work: (onProgress: (bytes: number) => void) => Promise<T>,
): Promise<T> {
  const { stat } = await import('node:fs/promises');
  const { basename } = await import('node:path');
  const totalBytes = (await stat(image).catch(() => undefined))?.size ?? 0;
  const bar = context.progress({ label: `${doing} ${basename(image)}`, totalBytes });
  try {
    const done = await work((bytes) => bar.at(bytes));
    bar.done();
    return done;
  } catch (error) {
    bar.fail();
    throw error;
  }
}
