import type { CommandSpec } from '../program.ts';
import { verity } from './image-verity.ts';

export const image: CommandSpec = {
  name: 'image',
  summary: 'look at partition images, and build what belongs to them',
  subcommands: [verity],
};
