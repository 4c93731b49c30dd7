import { relative } from 'node:path';
import { dryRunOption, isSet, listOption, pathOf, textOption } from '../options.ts';
import type { CommandSpec, OptionValues } from '../program.ts';

export const init: CommandSpec = {
  name: 'init',
  arguments: [['<directory>', 'where to make it; its name becomes the product unless --product says otherwise']],
  summary: 'make a workspace',
  description:
    'Makes a workspace: gantry.toml, expiry and wave policies, hosting examples. Relative stores are relative to the current directory.',
  options: [
    { flags: '--variant <names>', description: 'variant to publish, for example metal; several separated by commas', required: true },
    { flags: '--arch <names>', description: 'its architecture, for example x86_64; several separated by commas', required: true },
    { flags: '--store <place>', description: 'where to publish: a directory, or s3://BUCKET/PREFIX', required: true },
    { flags: '--product <name>', description: 'first part of every target name' },
    dryRunOption,
  ],
  examples: [
    'gantry init my-os --variant metal --arch x86_64 --store ./public && cd my-os',
    'gantry init my-os --variant metal,cloud --arch x86_64,aarch64 --store ./public',
  ],
  async run(context, [directory = '.'], options) {
    const { basename } = await import('node:path');
    const { createWorkspace } = await import('../../lib/workspace/create.ts');
    const target = pathOf(context, directory);
    const given = textOption(options, 'store') ?? '';
    // What has a scheme is no path; an empty text must not become the current directory.
    const store = given === '' || given === 'command' || /^[a-z][a-z0-9+.-]*:\/\//iu.test(given) ? given : pathOf(context, given);
    const settings = {
      product: textOption(options, 'product') ?? basename(target),
      // One repository for each variant and architecture.
      repositories: namesOf(options, 'variant').flatMap((variant) => namesOf(options, 'arch').map((arch) => ({ variant, arch }))),
      store: store === given ? store : relative(target, store),
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
        `It publishes ${settings.repositories.map(({ variant, arch }) => `${variant}/${arch}`).join(', ')} of ${settings.product} to ${store}.`,
        '',
        `Next: cd ${directory} && gantry key generate root-a root-b root-c targets online`,
      ],
    };
  },
};

/** The names as they were given when there are none in them, so that the error shows what was typed. */
function namesOf(options: OptionValues, option: string): readonly string[] {
  const names = listOption(options, option);
  return names.length > 0 ? names : [textOption(options, option) ?? ''];
}
