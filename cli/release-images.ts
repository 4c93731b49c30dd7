/** Where `release add` finds its images: three files, or one disk image. */
import type { LintFinding } from '../lib/errors.ts';
import type { DiskSet } from '../lib/workspace/disk-image.ts';
import type { RepositoryName } from '../lib/workspace/config.ts';
import type { ReleaseInput } from '../lib/workspace/prepare-release.ts';
import type { Context } from './context.ts';
import { pathOf, textOption } from './options.ts';
import type { OptionSpec, OptionValues } from './program.ts';
import { formatBytes, shellWord } from './ui/format.ts';

export const imageFileOptions: readonly OptionSpec[] = [
  { flags: '--boot <file>', description: 'boot partition image; like the others raw, lz4 or zstd' },
  { flags: '--root <file>', description: 'root partition image' },
  { flags: '--hash <file>', description: 'dm-verity hash partition image' },
  { flags: '--disk <file>', description: 'take the three out of this disk image instead' },
  { flags: '--set <name>', description: 'which set of partitions to take out of it (default: A)', choices: ['A', 'B'] },
];

const IMAGES = ['boot', 'root', 'hash'] as const;

/**
 * Three files or a disk image, and neither half of one nor both.
 *
 * @throws GantryError `usage/option`, `usage/arguments`
 */
export async function checkImageOptions(repositories: readonly RepositoryName[], options: OptionValues): Promise<void> {
  const { GantryError } = await import('../lib/errors.ts');
  const disk = textOption(options, 'disk');
  const given = IMAGES.filter((image) => textOption(options, image) !== undefined);
  const [first] = given;
  if (disk !== undefined && first !== undefined) {
    throw new GantryError(
      'usage/option',
      `Cannot use --disk together with --${first}: expected one disk image, or three partition images`,
      {
        option: '--disk',
      },
    );
  }
  if (disk === undefined && textOption(options, 'set') !== undefined) {
    throw new GantryError('usage/option', 'Cannot use --set without --disk: it chooses partitions of a disk image', { option: '--set' });
  }
  const missing = IMAGES.find((image) => !given.includes(image));
  if (disk === undefined && missing !== undefined) {
    throw new GantryError(
      'usage/arguments',
      `Cannot run gantry release add: the option --${missing} <file> is missing; expected --boot, --root and --hash, or --disk`,
      { command: 'gantry release add', suggestions: [] },
    );
  }
  await refuseSameImages(repositories, disk === undefined ? '--root' : '--disk', disk ?? textOption(options, 'root') ?? '');
}

/** One root image for two variants is a mistake: the variant stands in it. */
async function refuseSameImages(repositories: readonly RepositoryName[], option: string, path: string): Promise<void> {
  const filled = repositories.map(({ variant, arch }) => path.replaceAll('{variant}', variant).replaceAll('{arch}', arch));
  if (new Set(filled).size === repositories.length) return;
  const { GantryError, quote } = await import('../lib/errors.ts');
  throw new GantryError(
    'usage/option',
    `Cannot use ${option} ${quote(path)} for ${repositories.length} repositories: they would get the same image; expected {variant} or {arch} in the path`,
    { option },
  );
}

/** @param fill puts names in the place of {variant} and the like */
export async function imagesFrom(
  context: Context,
  options: OptionValues,
  fill: (text: string) => string,
): Promise<Pick<ReleaseInput, 'images'> & { readonly findings: readonly LintFinding[] }> {
  const path = (name: string): string => pathOf(context, fill(textOption(options, name) ?? ''));
  if (textOption(options, 'disk') === undefined) {
    return { images: { boot: path('boot'), root: path('root'), hash: path('hash') }, findings: [] };
  }
  const { findDiskImages } = await import('../lib/workspace/disk-image.ts');
  const disk = await findDiskImages(path('disk'), setFrom(options), context.signal);
  const sizes = IMAGES.map((image) => `${image} ${formatBytes(disk.images[image].source.lengthBytes)}`);
  context.note(`Taking set ${disk.set} out of ${shellWord(path('disk'))}: ${sizes.join(', ')}.`);
  const { boot, root, hash } = disk.images;
  return { images: { boot: boot.source, root: root.source, hash: hash.source }, findings: disk.findings };
}

/** `--set`, A by default. */
export function setFrom(options: OptionValues): DiskSet['set'] {
  return textOption(options, 'set') === 'B' ? 'B' : 'A';
}
