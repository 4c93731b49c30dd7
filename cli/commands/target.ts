import type { Change } from '../../lib/repository/draft.ts';
import type { PreparedTarget } from '../../lib/workspace/prepare-targets.ts';
import { repositoriesOf } from '../edits.ts';
import { dryRunOption, repositoriesOptions, textOption } from '../options.ts';
import type { CommandSpec, OptionSpec } from '../program.ts';
import { openWorkspaceSession } from '../session.ts';
import { draftTargets } from '../targets.ts';
import { draftTitle } from '../ui/drafts.ts';
import { formatBytes } from '../ui/format.ts';
import { paintResult } from '../ui/style.ts';
import { table } from '../ui/table.ts';

const roleOption: OptionSpec = {
  flags: '--role <name>',
  description: 'the delegated role that lists it (default: its bin where targets are split, the targets role otherwise)',
};

const add: CommandSpec = {
  name: 'add',
  arguments: [['<files...>', '[NAME=]FILE: a file, and what clients call it (default: the name of the file)']],
  summary: 'sign and publish files that are no part of a release',
  options: [roleOption, ...repositoriesOptions, dryRunOption],
  examples: ['gantry target add settings.json', 'gantry target add apps/editor-2.1.tar=build/editor.tar --role apps'],
  async run(context, files, options) {
    const { extraTarget } = await import('../extra-target.ts');
    const { prepareExtraTarget } = await import('../../lib/workspace/prepare-targets.ts');
    const { binOf } = await import('../../lib/repository/delegations.ts');
    const { refuseOnOffer } = await import('../../lib/release/image-targets.ts');
    const extra = files.map((text) => extraTarget(context, text, 'copy'));
    const role = textOption(options, 'role');
    return draftTargets(context, options, async (workspace) => {
      const prepared: PreparedTarget[] = [];
      for (const one of extra) prepared.push(await prepareExtraTarget(workspace, one));
      return {
        changesFor: ({ delegations, offer }) =>
          prepared.map(({ path, object }): Change => {
            refuseOnOffer(offer, path);
            const place = role ?? (Object.hasOwn(offer.targets, path) ? undefined : binOf(delegations, path));
            const file = { length: object.lengthBytes, hashes: { sha256: object.sha256 } };
            return { kind: 'put-target', path, file, ...(place === undefined ? {} : { role: place }) };
          }),
        delegated: (delegations) => (role === undefined ? prepared.flatMap(({ path }) => binOf(delegations, path) ?? []) : [role]),
      };
    });
  },
};

const remove: CommandSpec = {
  name: 'remove',
  arguments: [['<names...>', 'what clients call them']],
  summary: 'take targets away that are no part of a release',
  description: 'Clients do not find them any more once this is published. gantry gc removes the files later.',
  options: [roleOption, ...repositoriesOptions, dryRunOption],
  examples: ['gantry target remove settings.json', 'gantry target remove apps/editor-2.0.tar --role apps'],
  async run(context, names, options) {
    const { binOf } = await import('../../lib/repository/delegations.ts');
    const { refuseOnOffer } = await import('../../lib/release/image-targets.ts');
    const { refuseUnlisted } = await import('../../lib/repository/delegations.ts');
    const role = textOption(options, 'role');
    return draftTargets(context, options, async () => ({
      changesFor: ({ delegations, offer, targetsOf }) =>
        names.map((path): Change => {
          refuseOnOffer(offer, path);
          const place = role ?? (Object.hasOwn(offer.targets, path) ? undefined : binOf(delegations, path));
          if (place !== undefined) refuseUnlisted(targetsOf(place), place, path);
          return { kind: 'remove-target', path, ...(place === undefined ? {} : { role: place }) };
        }),
      delegated: (delegations) => (role === undefined ? names.flatMap((path) => binOf(delegations, path) ?? []) : [role]),
    }));
  },
};

const list: CommandSpec = {
  name: 'list',
  summary: 'show every target, and which role lists it',
  options: repositoriesOptions,
  async run(context, _, options) {
    const session = await openWorkspaceSession(context, options);
    const { readLive } = await import('../../lib/publish/live.ts');
    const { allDelegated } = await import('../../lib/publish/live-state.ts');
    const found = [];
    for (const repository of await repositoriesOf(session, options)) {
      const { published, delegated } = (await readLive(session.workspace, session.store, repository, { delegated: allDelegated })).trusted;
      const lists = [...(published === undefined ? [] : [['targets', published.targets] as const]), ...delegated];
      const targets = lists.flatMap(([role, file]) =>
        Object.entries(file.role.targets).map(([path, { length, hashes }]) => ({ path, role, lengthBytes: length, sha256: hashes.sha256 })),
      );
      found.push({ ...repository, targets });
    }
    return {
      json: { repositories: found },
      lines: found.flatMap(({ variant, arch, targets }) => [
        paintResult('bold', draftTitle({ repository: { variant, arch } })),
        ...(targets.length === 0
          ? ['  nothing is published yet']
          : table(
              targets.map(({ path, role, lengthBytes, sha256 }) => [`  ${path}`, role, formatBytes(lengthBytes), sha256.slice(0, 12)]),
              { head: ['  target', 'role', 'size', 'sha256'], right: [2] },
            )),
      ]),
    };
  },
};

export const target: CommandSpec = {
  name: 'target',
  summary: 'files that are no part of a release',
  subcommands: [add, remove, list],
};
