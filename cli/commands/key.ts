import type { CommandSpec } from '../program.ts';
import { check, exportPublic, list, show } from './key-look.ts';
import { generate, importOne } from './key-make.ts';

export const key: CommandSpec = {
  name: 'key',
  summary: 'make, bring in, try and look at keys',
  subcommands: [generate, importOne, list, show, exportPublic, check],
};
