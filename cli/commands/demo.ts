import type { CommandSpec } from '../program.ts';
import { isSet, pathOf, textOption } from '../options.ts';

export const demo: CommandSpec = {
  name: 'demo',
  summary: 'see the whole job in ten seconds',
  description:
    'Makes keys, signs a root, publishes two releases, installs them as a host would, and shows three attacks refused: in a temporary directory, on this machine only.',
  options: [
    { flags: '--dir <dir>', description: 'keep everything in this new directory' },
    { flags: '--keep-serving', description: 'leave the server up until Ctrl-C' },
    { flags: '--example-keys', description: 'use the throw-away keys that come with gantry instead of new ones' },
  ],
  examples: ['gantry demo', 'gantry demo --dir ./demo --keep-serving'],
  async run(context, _, options) {
    const { runDemo } = await import('../demo/run.ts');
    const directory = textOption(options, 'dir');
    return runDemo(context, {
      ...(directory === undefined ? {} : { directory: pathOf(context, directory) }),
      keepServing: isSet(options, 'keepServing'),
      exampleKeys: isSet(options, 'exampleKeys'),
    });
  },
};
