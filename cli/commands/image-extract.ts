import type { DiskSet } from '../../lib/workspace/disk-image.ts';
import type { ExtractedImage, ExtractOptions } from '../../lib/workspace/extract-images.ts';
import type { Context } from '../context.ts';
import { dryRunOption, isSet, pathOf, textOption } from '../options.ts';
import type { CommandSpec, OptionValues, Outcome } from '../program.ts';
import { setFrom } from '../release-images.ts';
import { describeFindings } from '../ui/findings.ts';
import { formatBytes, shellWord } from '../ui/format.ts';
import { table } from '../ui/table.ts';

const IMAGES = ['boot', 'root', 'hash'] as const;

export const extract: CommandSpec = {
  name: 'extract',
  arguments: [['<disk>', 'a disk image as the image build makes it: not compressed']],
  summary: 'take the images of a set out of a disk image, as files',
  description:
    "Finds boot, root and hash partition by Bottlerocket's types and writes boot.ext4, root.ext4 and root.verity, each without what a partition has behind its image. gantry release add --disk needs none of this: it reads the disk image.",
  options: [
    { flags: '-o, --output <dir>', description: 'the directory for the files; it is made', required: true },
    { flags: '--set <name>', description: 'which set of partitions', default: 'A', choices: ['A', 'B'] },
    { flags: '--variant <name>', description: 'put this in front of the names: NAME-boot.ext4 and so on' },
    { flags: '--force', description: 'replace files that are there already' },
    dryRunOption,
  ],
  examples: ['gantry image extract disk.img -o images', 'gantry image extract disk.img --variant metal --set B -o images --dry-run'],
  async run(context, [path = ''], options) {
    const disk = pathOf(context, path);
    const paths = await pathsOf(context, options);
    const { findDiskImages } = await import('../../lib/workspace/disk-image.ts');
    const { refuseExisting } = await import('../../lib/workspace/extract-images.ts');
    const overwrite = isSet(options, 'force') ? 'replace' : 'refuse';
    await refuseExisting({ paths, overwrite });
    const found = await findDiskImages(disk, setFrom(options), context.signal);
    const dryRun = isSet(options, 'dryRun');
    const extracted = dryRun ? [] : await extractWithBar(context, found, { paths, overwrite });
    return outcomeOf(found, paths, { disk, dryRun, extracted, cwd: context.cwd });
  },
};

type Paths = ExtractOptions['paths'];

/** The last part of the names of a release's images. */
async function pathsOf(context: Context, options: OptionValues): Promise<Paths> {
  const { join } = await import('node:path');
  const { checkName, imageFileName } = await import('../../lib/release/names.ts');
  const directory = pathOf(context, textOption(options, 'output') ?? '');
  const variant = textOption(options, 'variant');
  const prefix = variant === undefined ? '' : `${checkName('variant', variant)}-`;
  const of = (image: (typeof IMAGES)[number]): string => join(directory, `${prefix}${imageFileName(image)}`);
  return { boot: of('boot'), root: of('root'), hash: of('hash') };
}

async function extractWithBar(
  context: Context,
  found: DiskSet,
  options: Pick<ExtractOptions, 'paths' | 'overwrite'>,
): Promise<readonly ExtractedImage[]> {
  const { extractImages } = await import('../../lib/workspace/extract-images.ts');
  const totalBytes = IMAGES.reduce((sum, image) => sum + found.images[image].source.lengthBytes, 0);
  const bar = context.progress({ label: `Extracting set ${found.set}`, totalBytes });
  try {
    const extracted = await extractImages(found, { ...options, signal: context.signal, onProgress: (bytes) => bar.at(bytes) });
    bar.done();
    return extracted;
  } catch (error) {
    bar.fail();
    throw error;
  }
}

interface Done {
  readonly disk: string;
  readonly dryRun: boolean;
  readonly extracted: readonly ExtractedImage[];
  readonly cwd: string;
}

function outcomeOf(found: DiskSet, paths: Paths, { disk, dryRun, extracted, cwd }: Done): Outcome {
  const images = IMAGES.map((image) => {
    const { partition, source, cutBehind, cutBytes } = found.images[image];
    const sha256 = extracted.find((one) => one.image === image)?.sha256;
    return {
      image,
      file: paths[image],
      partition: partition.number,
      name: partition.name,
      offset: partition.position,
      lengthBytes: source.lengthBytes,
      cutBytes,
      cutBehind,
      ...(sha256 === undefined ? {} : { sha256 }),
    };
  });
  const rows = images.map((one) => [
    `  ${one.file.slice(one.file.lastIndexOf('/') + 1)}`,
    String(one.partition),
    formatBytes(one.lengthBytes),
    formatBytes(one.cutBytes),
    `behind the ${one.cutBehind}`,
  ]);
  const typed = (path: string): string => shellWord(path.startsWith(`${cwd}/`) ? path.slice(cwd.length + 1) : path);
  const files = IMAGES.map((image) => `--${image} ${typed(paths[image])}`).join(' ');
  return {
    json: { ...(dryRun ? { dryRun } : {}), disk, set: found.set, images, findings: found.findings },
    lines: [
      `${dryRun ? 'Would write' : 'Wrote'} the images of set ${found.set} to ${directoryOf(paths.boot)}:`,
      ...table(rows, { head: ['  file', 'partition', 'size', 'cut off', ''], right: [1, 2, 3] }),
      ...(found.findings.length === 0 ? [] : ['', ...describeFindings(found.findings)]),
      ...(dryRun ? [] : ['', `Next: gantry release add VERSION ${files}`]),
    ],
  };
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}
