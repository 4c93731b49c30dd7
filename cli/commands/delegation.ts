import type { DelegatedRole, Delegations, KeyId, SignedRole, Targets, TufDate } from '../../lib/tuf/types.ts';
import { keyNames } from '../drafts.ts';
import { repositoriesOf } from '../edits.ts';
import { dryRunOption, isSet, listOf, listOption, numberOption, repositoriesOptions } from '../options.ts';
import type { CommandSpec, OptionSpec, OptionValues } from '../program.ts';
import { openWorkspaceSession } from '../session.ts';
import { delegationKeys, draftTargets } from '../targets.ts';
import { draftTitle } from '../ui/drafts.ts';
import { count, formatWhen } from '../ui/format.ts';
import { paintResult } from '../ui/style.ts';
import { table } from '../ui/table.ts';

const MAX_KEYS = 100;
const NAME: readonly [string, string] = ['<name>', 'a delegated role; bins for all that a split made'];
const keysOption: OptionSpec = {
  flags: '--keys <names>',
  description: 'keys of the workspace that sign it, separated by commas',
  required: true,
};
const thresholdOption: OptionSpec = { flags: '--threshold <n>', description: 'how many of them must sign', default: '1' };
const edits: readonly OptionSpec[] = [...repositoriesOptions, dryRunOption];

const add: CommandSpec = {
  name: 'add',
  arguments: [['<name>', 'what to call the role: letters, digits, "-", "_", beginning with a letter']],
  summary: 'let other keys sign a part of the targets',
  description:
    'Drafts a role of its own for the targets whose paths match, which its keys sign: the keys of targets are not needed for its content afterwards. It begins empty; gantry target add --role NAME fills it.',
  options: [
    keysOption,
    thresholdOption,
    {
      flags: '--path <pattern>',
      description: 'paths that it may list, for example "apps/*"; may be repeated',
      required: true,
      repeat: true,
    },
    { flags: '--terminating', description: 'for these paths clients ask nobody else behind it' },
    ...edits,
  ],
  examples: ["gantry delegation add apps --keys ana,bert --threshold 2 --path 'apps/*'", 'gantry sign && gantry publish'],
  async run(context, [name = ''], options) {
    return draftTargets(context, options, async (workspace) => {
      const keys = await delegationKeys(workspace, listOption(options, 'keys'), thresholdOf(options));
      const change = {
        kind: 'add-delegation',
        name,
        ...keys,
        paths: listOf(options, 'path'),
        terminating: isSet(options, 'terminating'),
      } as const;
      return { changesFor: () => [change], delegated: () => [name] };
    });
  },
};

const remove: CommandSpec = {
  name: 'remove',
  arguments: [NAME],
  summary: 'take a delegation back',
  description: 'What the role lists is no target any more: hosts do not find it. gantry gc removes the files later.',
  options: edits,
  examples: ['gantry delegation remove apps'],
  async run(context, [name = ''], options) {
    return draftTargets(context, options, async () => ({
      changesFor: ({ delegations }) => meant(delegations, name).map((role) => ({ kind: 'remove-delegation', name: role })),
      delegated: (delegations) => meant(delegations, name),
      question: ({ trusted }) => {
        const roles = meant(trusted.published?.targets.role.delegations, name);
        const lost = roles.reduce((sum, role) => sum + sizeOf(trusted.delegated.get(role)?.role), 0);
        return lost === 0 ? undefined : `${count(lost, 'target')} of ${name} would be found no more. Take it back?`;
      },
    }));
  },
};

const rotateKey: CommandSpec = {
  name: 'rotate-key',
  arguments: [NAME, ['<old>', 'the key that goes'], ['<new>', 'the key that takes its place']],
  summary: 'replace a key of a delegated role',
  description: 'The role is signed again, by the keys that it has then, and the targets role that says so with it.',
  options: edits,
  examples: ['gantry delegation rotate-key apps ana ana-2'],
  async run(context, [name = '', old = '', next = ''], options) {
    return draftTargets(context, options, async (workspace) => {
      const { publicKeyNamed } = await import('../../lib/workspace/key-ring.ts');
      const [from, to] = [await publicKeyNamed(workspace, old), await publicKeyNamed(workspace, next)];
      return {
        changesFor: ({ delegations }) =>
          meant(delegations, name).map((role) => ({
            kind: 'replace-delegation-key',
            name: role,
            from: from.keyId,
            to: to.keyId,
            key: to.key,
          })),
        delegated: (delegations) => meant(delegations, name),
      };
    });
  },
};

const setThreshold: CommandSpec = {
  name: 'set-threshold',
  arguments: [NAME, ['<n>', 'how many keys must sign']],
  summary: 'change how many keys must sign a delegated role',
  options: edits,
  examples: ['gantry delegation set-threshold apps 2'],
  async run(context, [name = '', n = ''], options) {
    const threshold = thresholdOf({ threshold: n });
    return draftTargets(context, options, async () => ({
      changesFor: ({ delegations }) =>
        meant(delegations, name).map((role) => ({ kind: 'set-delegation-threshold', name: role, threshold })),
      delegated: (delegations) => meant(delegations, name),
    }));
  },
};

const split: CommandSpec = {
  name: 'split',
  summary: 'move the targets into hash bins, for repositories of thousands',
  description:
    'Drafts delegated roles by the SHA-256 of target paths (path_hash_prefixes) and moves every target there that no update on offer needs. Adding a target then signs one bin, and clients of python-tuf, tuf-js and Gantry fetch one. It costs others: tough fetches every bin, about 0.1 s each, and go-tuf finds nothing in them. The manifest, images and migrations on offer stay in the targets role, so stock hosts are served as before.',
  options: [
    { flags: '--bins <n>', description: 'how many: a power of two, about one for each 500 targets', default: '16' },
    keysOption,
    thresholdOption,
    ...edits,
  ],
  examples: ['gantry delegation split --bins 256 --keys online --dry-run'],
  async run(context, _, options) {
    const { binNames, MAX_BINS } = await import('../../lib/repository/delegations.ts');
    const bins = numberOption(options, 'bins', { min: 2, max: MAX_BINS }) ?? 16;
    const names = binNames(bins);
    return draftTargets(context, options, async (workspace) => {
      const keys = await delegationKeys(workspace, listOption(options, 'keys'), thresholdOf(options));
      return {
        changesFor: () => [{ kind: 'split-targets', bins, ...keys }],
        delegated: () => names,
        notes: [
          'Helped: python-tuf, tuf-js and hosts with the client of Gantry fetch one bin for a target, and adding one signs one bin.',
          `Costs: tough fetches all ${bins} bins at each look, and go-tuf finds nothing that is in them. What is on offer stays outside.`,
        ],
      };
    });
  },
};

const list: CommandSpec = {
  name: 'list',
  summary: 'show who else signs targets, and how many',
  options: repositoriesOptions,
  async run(context, _, options) {
    const session = await openWorkspaceSession(context, options);
    const { readLive } = await import('../../lib/publish/live.ts');
    const { allDelegated } = await import('../../lib/publish/live-state.ts');
    const nameOf = await keyNames(session.workspace);
    const found = [];
    for (const repository of await repositoriesOf(session, options)) {
      const { trusted } = await readLive(session.workspace, session.store, repository, { delegated: allDelegated });
      const roles = trusted.published?.targets.role.delegations?.roles ?? [];
      found.push({ ...repository, roles: roles.map((role) => describe(role, trusted.delegated.get(role.name))) });
    }
    return {
      json: { repositories: found },
      lines: found.flatMap(({ variant, arch, roles }) => [
        paintResult('bold', draftTitle({ repository: { variant, arch } })),
        ...(roles.length === 0
          ? ['  nobody else signs targets']
          : table(
              roles.map((role) => [
                `  ${role.name}`,
                String(role.version ?? '-'),
                String(role.targets),
                role.expires === undefined ? '' : formatWhen(new Date(role.expires), context.now),
                `${role.threshold} of ${role.keyIds.map(nameOf).join(', ')}`,
                role.paths?.join(', ') ?? `${role.prefixes?.length ?? 0} of the digests`,
              ]),
              { head: ['  role', 'version', 'targets', 'expires', 'signed by', 'for'], right: [1, 2] },
            )),
      ]),
    };
  },
};

interface DescribedRole extends Pick<DelegatedRole, 'name' | 'threshold' | 'terminating' | 'paths'> {
  readonly keyIds: readonly KeyId[];
  readonly prefixes: readonly string[] | undefined;
  /** Absent while it is delegated and nothing of it is published. */
  readonly version?: number;
  readonly expires?: TufDate;
  readonly targets: number;
}

function describe(role: DelegatedRole, file: SignedRole<Targets> | undefined): DescribedRole {
  const { name, keyids: keyIds, threshold, terminating, paths, path_hash_prefixes: prefixes } = role;
  const live = file === undefined ? {} : { version: file.role.version, expires: file.role.expires };
  return {
    name,
    keyIds,
    threshold,
    terminating,
    ...(paths === undefined ? {} : { paths }),
    prefixes,
    ...live,
    targets: file === undefined ? 0 : sizeOf(file.role),
  };
}

function sizeOf(role: Targets | undefined): number {
  return Object.keys(role?.targets ?? {}).length;
}

/** The roles that a name on the command line means; what there is not is refused when it is drafted. */
function meant(delegations: Delegations | undefined, name: string): readonly string[] {
  const bins = name === 'bins' ? (delegations?.roles ?? []).filter((role) => role.path_hash_prefixes !== undefined) : [];
  return bins.length === 0 ? [name] : bins.map((role) => role.name);
}

function thresholdOf(options: OptionValues): number {
  return numberOption(options, 'threshold', { min: 1, max: MAX_KEYS }) ?? 1;
}

export const delegation: CommandSpec = {
  name: 'delegation',
  summary: 'let others sign a part of the targets',
  subcommands: [add, remove, list, rotateKey, setThreshold, split],
};
