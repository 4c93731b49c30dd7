import { GantryError, quote } from '../../lib/errors.ts';
import { listOption } from '../options.ts';
import type { CommandSpec, OptionValues } from '../program.ts';
import { openWorkspaceSession } from '../session.ts';
import { count } from '../ui/format.ts';
import { addKey, expire, removeKey, replaceKey, setThreshold } from './root-edit.ts';
import { rotate } from './root-rotate.ts';
import { showRoot, verifyRoot } from './root-show.ts';

const ROLES = ['root', 'targets', 'snapshot', 'timestamp'] as const;
type RoleName = (typeof ROLES)[number];

const initRoot: CommandSpec = {
  name: 'init',
  summary: 'draft the first root: who may sign what',
  description: 'Drafts 1.root.json. It becomes the trust anchor of every host once enough root keys have signed it.',
  options: [
    { flags: '--root <names>', description: 'root keys, separated by commas', required: true },
    { flags: '--targets <names>', description: 'keys that sign releases', required: true },
    { flags: '--snapshot <names>', description: 'keys that sign snapshots', required: true },
    { flags: '--timestamp <names>', description: 'keys that sign timestamps', required: true },
    { flags: '--threshold <list>', description: 'how many keys must sign, for example root=2,targets=1 (default: 1 each)' },
  ],
  examples: ['gantry root init --root root-a,root-b,root-c --threshold root=2 --targets targets --snapshot online --timestamp online'],
  async run(context, _, options) {
    const { workspace } = await openWorkspaceSession(context, options);
    const { withWorkspaceLock } = await import('../../lib/workspace/workspace.ts');
    const { draftFirstRoot } = await import('../../lib/workspace/draft-root.ts');
    const { readRootDraft } = await import('../../lib/workspace/root-files.ts');
    const names = Object.fromEntries(ROLES.map((role) => [role, listOption(options, role)])) as Record<RoleName, readonly string[]>;
    const thresholds = thresholdsOf(options);
    const made = await withWorkspaceLock(workspace, async () => {
      const waiting = await readRootDraft(workspace);
      const signed = waiting?.signatures.length ?? 0;
      if (
        signed > 0 &&
        !(await context.confirm(`A first root waits with ${count(signed, 'signature')}, which would be lost. Replace it?`))
      ) {
        return undefined;
      }
      return draftFirstRoot(workspace, { names, thresholds }, context.now);
    });
    if (made === undefined) return { json: {}, lines: ['Nothing was drafted; the root that waits stays as it is.'] };
    const { path, root } = made;
    return {
      json: { draft: path, version: root.version, expires: root.expires, roles: root.roles },
      lines: [
        `Drafted root version ${root.version}, valid until ${root.expires}:`,
        ...ROLES.map((role) => `  ${role.padEnd(9)} ${root.roles[role].threshold} of ${names[role].join(', ')}`),
        '',
        'Next: gantry sign',
      ],
    };
  },
};

function thresholdsOf(options: OptionValues): Partial<Record<RoleName, number>> {
  const thresholds: Partial<Record<RoleName, number>> = {};
  for (const item of listOption(options, 'threshold')) {
    const [name = '', number = ''] = item.split('=');
    const role = ROLES.find((one) => one === name);
    if (role === undefined || !/^[1-9][0-9]*$/u.test(number)) {
      throw new GantryError(
        'usage/option',
        `Cannot use --threshold ${quote(item)}: expected ROLE=NUMBER with a role of ${ROLES.join(', ')}`,
        { option: '--threshold' },
      );
    }
    thresholds[role] = Number(number);
  }
  return thresholds;
}

export const root: CommandSpec = {
  name: 'root',
  summary: 'say who may sign what',
  subcommands: [initRoot, addKey, removeKey, replaceKey, setThreshold, rotate, expire, showRoot, verifyRoot],
};
