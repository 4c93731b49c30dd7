import { repositoriesOf } from '../edits.ts';
import { dryRunOption, isSet, repositoriesOptions } from '../options.ts';
import type { CommandSpec } from '../program.ts';
import { openWorkspaceSession } from '../session.ts';

export const refresh: CommandSpec = {
  name: 'refresh',
  summary: 'draft fresh expiry dates for what is published',
  description:
    'Drafts a new snapshot and timestamp, which the online key signs; with --all a new targets role too. What is offered does not change.',
  options: [{ flags: '--all', description: 'renew targets too, which needs the targets keys' }, ...repositoriesOptions, dryRunOption],
  examples: ['gantry refresh && gantry sign && gantry publish'],
  async run(context, _, options) {
    const session = await openWorkspaceSession(context, options);
    const { workspace, store } = session;
    const { withWorkspaceLock } = await import('../../lib/workspace/workspace.ts');
    const { refreshRepository } = await import('../../lib/publish/refresh.ts');
    const repositories = await repositoriesOf(session, options);
    const names = repositories.map(({ variant, arch }) => `${variant}/${arch}`).join(', ');
    const what = isSet(options, 'all') ? 'targets, snapshot and timestamp' : 'snapshot and timestamp';
    if (isSet(options, 'dryRun')) return { json: { dryRun: true, repositories }, lines: [`Would draft fresh ${what} for ${names}.`] };
    const drafted: object[] = [];
    await withWorkspaceLock(workspace, async () => {
      for (const repository of repositories) {
        const roles = isSet(options, 'all') ? 'all' : 'online';
        const { versions } = await refreshRepository(workspace, store, repository, { now: context.now, roles });
        drafted.push({ ...repository, versions });
      }
    });
    return {
      json: { repositories: drafted },
      lines: [`Drafted fresh ${what} for ${names}.`, '', 'Next: gantry sign && gantry publish'],
    };
  },
};
