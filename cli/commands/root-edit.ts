import { GantryError, quote } from '../../lib/errors.ts';
import type { RootSpec } from '../../lib/repository/root-draft.ts';
import type { RootEdit } from '../../lib/repository/root-edit.ts';
import type { TopRoleName, TufDate } from '../../lib/tuf/types.ts';
import type { RootBase } from '../../lib/workspace/edit-root.ts';
import type { Workspace } from '../../lib/workspace/workspace.ts';
import type { Context } from '../context.ts';
import { keyNames } from '../drafts.ts';
import { dryRunOption, isSet, listOption } from '../options.ts';
import type { CommandSpec, OptionSpec, OptionValues, Outcome } from '../program.ts';
import { openWorkspaceOnly } from '../session.ts';
import { describeDraft } from '../ui/drafts.ts';
import { count } from '../ui/format.ts';

const ROLES: readonly TopRoleName[] = ['root', 'targets', 'snapshot', 'timestamp'];
const SIGNED_TWICE = 'The new root needs the signatures of the root before and its own.';

/** @throws GantryError `usage/option` */
export function roleOf(text: string, option: string): TopRoleName {
  const role = ROLES.find((one) => one === text);
  if (role !== undefined) return role;
  throw new GantryError('usage/option', `Cannot use ${option} ${quote(text)}: expected one of ${ROLES.join(', ')}`, { option });
}

/** What a change makes of the root, and of its date. */
interface Edited {
  readonly spec: RootSpec;
  readonly expires?: TufDate;
}

type Change = (workspace: Workspace, base: RootBase) => Promise<Edited>;

/** Drafts it, and shows the draft as those will see it who sign. */
export async function draftChange(context: Context, options: OptionValues, change: Change): Promise<Outcome> {
  const workspace = await openWorkspaceOnly(context, options);
  const { withWorkspaceLock } = await import('../../lib/workspace/workspace.ts');
  const { readRootBase, saveRootEdit } = await import('../../lib/workspace/edit-root.ts');
  const { draftRoot } = await import('../../lib/repository/root-draft.ts');
  const { viewRoot } = await import('../../lib/repository/draft-view.ts');
  const nameOf = await keyNames(workspace);
  return withWorkspaceLock(workspace, async () => {
    const base = await readRootBase(workspace);
    const { spec, expires } = await change(workspace, base);
    const previous = base.chain?.latest.role;
    const draft = draftRoot(spec, context.now, workspace.expiry, previous, expires);
    const view = {
      state: 'current' as const,
      base: previous === undefined ? 'no root' : `root ${previous.version}`,
      roles: [viewRoot(draft, previous, nameOf)],
    };
    const { version } = draft.signed;
    const json = { version, expires: draft.signed.expires, roles: draft.signed.roles, sentences: view.roles[0]?.sentences };
    if (isSet(options, 'dryRun'))
      return { json: { dryRun: true, ...json }, lines: [...describeDraft(view, nameOf), '', 'Nothing was drafted.'] };
    const lost = base.waiting?.signatures.length ?? 0;
    const question = `Root version ${version} waits with ${count(lost, 'signature')}, which would be lost. Change it?`;
    if (lost > 0 && !(await context.confirm(question)))
      return { json, lines: ['Nothing was changed; the root that waits stays as it is.'] };
    const path = await saveRootEdit(workspace, base, spec, { now: context.now, expires });
    return { json: { draft: path, ...json }, lines: [...describeDraft(view, nameOf), '', 'Next: gantry sign'] };
  });
}

async function edited(base: RootBase, edits: readonly RootEdit[]): Promise<Edited> {
  const { applyRootEdit } = await import('../../lib/repository/root-edit.ts');
  return { spec: edits.reduce(applyRootEdit, base.spec) };
}

const rolesOption: OptionSpec = { flags: '--role <names>', description: 'roles, separated by commas', required: true };

function rolesIn(options: OptionValues): readonly TopRoleName[] {
  return listOption(options, 'role').map((text) => roleOf(text, '--role'));
}

export const addKey: CommandSpec = {
  name: 'add-key',
  arguments: [['<names...>', 'keys of the workspace']],
  summary: 'let more keys sign a role',
  description: `Drafts the next root. ${SIGNED_TWICE}`,
  options: [rolesOption, dryRunOption],
  examples: ['gantry root add-key root-d --role root', 'gantry root add-key online-2 --role snapshot,timestamp'],
  async run(context, names, options) {
    const roles = rolesIn(options);
    return draftChange(context, options, async (workspace, base) => {
      const { newKeyNamed } = await import('../../lib/workspace/edit-root.ts');
      const edits: RootEdit[] = [];
      for (const name of names) edits.push({ kind: 'add-key', key: (await newKeyNamed(workspace, name)).key, roles });
      return edited(base, edits);
    });
  },
};

export const removeKey: CommandSpec = {
  name: 'remove-key',
  arguments: [['<names...>', 'keys of the workspace, or the starts of key ids']],
  summary: 'take the right to sign from keys',
  description: `Drafts the next root. What would leave a role with fewer keys than its threshold is refused. ${SIGNED_TWICE}`,
  options: [{ ...rolesOption, description: 'roles, separated by commas (default: every role of the key)', required: false }, dryRunOption],
  examples: ['gantry root remove-key root-c', 'gantry root remove-key online --role timestamp'],
  async run(context, names, options) {
    const roles = rolesIn(options);
    return draftChange(context, options, async (workspace, base) => {
      const { keyOfRoot } = await import('../../lib/workspace/edit-root.ts');
      const edits: RootEdit[] = [];
      for (const name of names) {
        const { keyId } = await keyOfRoot(workspace, base, name);
        edits.push({ kind: 'remove-key', keyId, ...(roles.length === 0 ? {} : { roles }) });
      }
      return edited(base, edits);
    });
  },
};

export const replaceKey: CommandSpec = {
  name: 'replace-key',
  arguments: [
    ['<old>', 'a key of the workspace, or the start of a key id'],
    ['<new>', 'a key of the workspace'],
  ],
  summary: 'put a new key in the place of a lost or stolen one, at once',
  description: `Drafts the next root with the new key in every role of the old one. ${SIGNED_TWICE} For online keys this strands hosts until the roles are signed again: gantry root rotate replaces a key that still works without that.`,
  options: [dryRunOption],
  examples: ['gantry root replace-key root-b root-d'],
  async run(context, [old = '', by = ''], options) {
    return draftChange(context, options, async (workspace, base) => {
      const { keyOfRoot, newKeyNamed } = await import('../../lib/workspace/edit-root.ts');
      const { keyId } = await keyOfRoot(workspace, base, old);
      return edited(base, [{ kind: 'replace-key', keyId, by: (await newKeyNamed(workspace, by)).key }]);
    });
  },
};

export const setThreshold: CommandSpec = {
  name: 'set-threshold',
  arguments: [
    ['<role>', 'root, targets, snapshot or timestamp', ROLES],
    ['<number>', 'how many of its keys must sign'],
  ],
  summary: 'how many keys must sign a role',
  description: `Drafts the next root. ${SIGNED_TWICE}`,
  options: [dryRunOption],
  examples: ['gantry root set-threshold root 3'],
  async run(context, [role = '', number = ''], options) {
    if (!/^[1-9][0-9]{0,3}$/u.test(number)) {
      throw new GantryError('usage/option', `Cannot use ${quote(number)} as a threshold: expected a whole number from 1`, {
        option: '<number>',
      });
    }
    return draftChange(context, options, async (_, base) =>
      edited(base, [{ kind: 'set-threshold', role: roleOf(role, '<role>'), threshold: Number(number) }]),
    );
  },
};

export const expire: CommandSpec = {
  name: 'expire',
  arguments: [['[when]', 'RFC 3339, or from now, such as "in 52 weeks" (default: policies/expiry.toml)']],
  summary: 'give the root another date of expiry, also when it has expired',
  description: `Drafts the next root with the same keys. ${SIGNED_TWICE} Hosts that stand at an expired root take the new one.`,
  options: [dryRunOption],
  examples: ['gantry root expire', 'gantry root expire "in 26 weeks"'],
  async run(context, [when], options) {
    return draftChange(context, options, async (_, { spec }) => {
      if (when === undefined) return { spec };
      const { dateOfInstant, parseMoment } = await import('../../lib/release/wave-time.ts');
      const { tufDate } = await import('../../lib/tuf/date.ts');
      const moment = dateOfInstant(parseMoment(when, context.now));
      if (moment <= context.now) {
        throw new GantryError('usage/option', `Cannot use ${quote(when)}: it is in the past; expected a moment to come`, {
          option: '[when]',
        });
      }
      return { spec, expires: tufDate(moment) };
    });
  },
};
