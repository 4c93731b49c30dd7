import { dryRunOption, isSet, repositoryOptions, textOption } from '../options.ts';
import type { CommandSpec } from '../program.ts';
import { openWorkspaceSession } from '../session.ts';

export const refresh: CommandSpec = {
  name: 'refresh',
  summary: 'draft fresh expiry dates for what is published',
  description:
    'Drafts a new snapshot and timestamp, which the online key signs; with --all a new targets role too. What is offered does not change.',
  options: [{ flags: '--all', description: 'renew targets too, which needs the targets keys' }, ...repositoryOptions, dryRunOption],
  examples: ['gantry refresh && gantry sign && gantry publish'],
  async run(context, _, options) {
    const { workspace, store } = await openWorkspaceSession(context, options);
    const { chooseRepository, withWorkspaceLock } = await import('../../lib/workspace/workspace.ts');
    const { refreshRepository } = await import('../../lib/publish/refresh.ts');
    const repository = chooseRepository(workspace, { variant: textOption(options, 'variant'), arch: textOption(options, 'arch') });
    const name = `${repository.variant}/${repository.arch}`;
    const what = isSet(options, 'all') ? 'targets, snapshot and timestamp' : 'snapshot and timestamp';
    if (isSet(options, 'dryRun')) return { json: { dryRun: true, repository }, lines: [`Would draft fresh ${what} for ${name}.`] };
    const draft = await withWorkspaceLock(workspace, async () =>
      refreshRepository(workspace, store, repository, { now: context.now, roles: isSet(options, 'all') ? 'all' : 'online' }),
    );
    return {
      json: { repository, versions: draft.versions },
      lines: [`Drafted fresh ${what} for ${name}.`, '', 'Next: gantry sign && gantry publish'],
    };
  },
};
