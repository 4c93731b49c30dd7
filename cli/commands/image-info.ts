import { EXIT } from '../exit-codes.ts';
import { numberOption, pathOf } from '../options.ts';
import type { CommandSpec } from '../program.ts';
import { describeImage, imageJson } from '../ui/image-info.ts';
import type { Progress } from '../ui/progress.ts';

export const info: CommandSpec = {
  name: 'info',
  arguments: [['<file>', 'an image of a disk or of a partition: raw, lz4 or zstd']],
  summary: 'show what an image is, what it holds, and what it costs to ship',
  description:
    'Recognises zstd and lz4 with their frames, disks with a GUID partition table, ext2 to ext4, EROFS, squashfs and dm-verity hash images. How well it compresses is tried on a sample. Exits with 3 when something is wrong with what it found.',
  options: [{ flags: '--level <n>', description: 'zstd level of the sample, 1 to 22', default: '3' }],
  examples: ['gantry image info root.img', 'gantry image info disk.img --json'],
  async run(context, [path = ''], options) {
    const file = pathOf(context, path);
    const level = numberOption(options, 'level', { min: 1, max: 22 }) ?? 3;
    const { inspectImage } = await import('../../lib/workspace/image-info.ts');
    let bar: Progress | undefined;
    try {
      const image = await inspectImage(file, {
        level,
        signal: context.signal,
        onProgress({ bytes, totalBytes }) {
          bar ??= context.progress({ label: `Reading ${file.slice(file.lastIndexOf('/') + 1)}`, totalBytes });
          bar.at(bytes);
        },
      });
      bar?.done();
      const { findings } = image;
      const isWrong = findings.some(({ severity }) => severity === 'error');
      return { json: { ...imageJson(image), findings }, lines: describeImage(image), exitCode: isWrong ? EXIT.input : EXIT.done };
    } catch (error) {
      bar?.fail();
      throw error;
    }
  },
};
