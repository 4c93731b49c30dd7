import { relative } from 'node:path';
import { isSet, pathOf, textOption, dryRunOption } from '../options.ts';
import type { CommandSpec } from '../program.ts';

export const init: CommandSpec = {
  name: 'init',
  arguments: [['<directory>', 'where to make it; its name becomes the product unless --product says otherwise']],
  summary: 'make a workspace',
  description:
    'Makes a workspace: gantry.toml, expiry and wave policies, hosting examples. Relative stores are relative to the current directory.',
  options: [
    { flags: '--variant <name>', description: 'variant of the first repository, for example metal', required: true },
    { flags: '--arch <name>', description: 'its architecture, for example x86_64', required: true },
    { flags: '--store <dir>', description: 'directory to publish to', required: true },
    { flags: '--product <name>', description: 'first part of every target name' },
    dryRunOption,
  ],
  examples: ['gantry init my-os --variant metal --arch x86_64 --store ./public && cd my-os'],
  async run(context, [directory = '.'], options) {
    const { basename } = await import('node:path');
    const { createWorkspace } = await import('../../lib/workspace/create.ts');
    const target = pathOf(context, directory);
    const store = pathOf(context, textOption(options, 'store') ?? '');
    const settings = {
      product: textOption(options, 'product') ?? basename(target),
      variant: textOption(options, 'variant') ?? '',
      arch: textOption(options, 'arch') ?? '',
      store: relative(target, store),
    };
    if (isSet(options, 'dryRun'))
      return {
        json: { dryRun: true, directory: target, ...settings },
        lines: [`Would make a workspace in ${target} that publishes to ${store}.`],
      };
    const workspace = await createWorkspace(target, settings);
    return {
      json: { directory: workspace.directory, ...settings },
      lines: [
        `Made the workspace ${workspace.directory}.`,
        `It publishes ${settings.variant}/${settings.arch} of ${settings.product} to ${store}.`,
        '',
        `Next: cd ${directory} && gantry key generate root-a root-b root-c targets online`,
      ],
    };
  },
};
