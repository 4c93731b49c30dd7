import type { CommandSpec } from '../program.ts';
import { extract } from './image-extract.ts';
import { info } from './image-info.ts';
import { verity } from './image-verity.ts';

export const image: CommandSpec = {
  name: 'image',
  summary: 'look at images, take them out of a disk image, and build what belongs to them',
  subcommands: [info, extract, verity],
};
