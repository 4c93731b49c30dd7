import type { RotationStep } from '../../lib/publish/rotate.ts';
import { storeOption } from '../options.ts';
import type { CommandSpec } from '../program.ts';
import { openWorkspaceSession } from '../session.ts';
import { draftTitle } from '../ui/drafts.ts';

export const rotate: CommandSpec = {
  name: 'rotate',
  arguments: [
    ['<old>', 'a key that still works: its name in the workspace, or the start of its id'],
    ['<new>', 'a key of the workspace'],
  ],
  summary: 'replace a key step by step, so that no host ever refuses anything',
  description:
    'First a root that trusts both keys, then every role signed with the new one, then a root that drops the old one. Each run looks where that stands, does the next step and says which command follows; run it again until it says that it is done. A key that is lost or stolen is replaced by gantry root replace-key.',
  options: [storeOption],
  examples: ['gantry root rotate online online-2'],
  async run(context, [old = '', by = ''], options) {
    const { workspace, store } = await openWorkspaceSession(context, options);
    const { withWorkspaceLock } = await import('../../lib/workspace/workspace.ts');
    const { rotateKey } = await import('../../lib/publish/rotate.ts');
    const { keyOfRoot, newKeyNamed, readRootBase } = await import('../../lib/workspace/edit-root.ts');
    const step = await withWorkspaceLock(workspace, async () => {
      const from = await keyOfRoot(workspace, await readRootBase(workspace), old);
      const to = await newKeyNamed(workspace, by);
      return rotateKey(workspace, store, { from: from.keyId, to: to.key, toId: to.keyId }, context.now);
    });
    const next = nextOf(step);
    const again = `gantry root rotate ${old} ${by}`;
    return {
      json: {
        step: step.kind,
        ...('repositories' in step ? { repositories: step.repositories } : {}),
        ...(next === undefined ? {} : { next }),
      },
      lines: [sentenceOf(step, old, by), ...(next === undefined ? [] : ['', `Next: ${next}`, `      ${again}`])],
    };
  },
};

function sentenceOf(step: RotationStep, old: string, by: string): string {
  switch (step.kind) {
    case 'drafted-both':
      return `Step 1 of 3: drafted a root that trusts ${old} and ${by}.`;
    case 'sign-root':
      return 'A drafted root waits for signatures.';
    case 'publish-root':
      return `A new root waits for publication in ${step.repositories.map((repository) => draftTitle({ repository })).join(', ')}.`;
    case 'sign-roles':
      return `Step 2 of 3: ${step.roles.join(', ')} of ${step.repositories.map((repository) => draftTitle({ repository })).join(', ')} must be signed with ${by}, and published.`;
    case 'drafted-new':
      return `Step 3 of 3: drafted a root without ${old}; everything that is live is signed with ${by}.`;
    case 'done':
      return `Done: ${by} has taken the place of ${old}.`;
  }
}

function nextOf(step: RotationStep): string | undefined {
  switch (step.kind) {
    case 'drafted-both':
    case 'drafted-new':
    case 'sign-root':
      return 'gantry sign && gantry publish';
    case 'publish-root':
      return 'gantry publish';
    case 'sign-roles': {
      const which = step.repositories.length === 1 ? '' : ' --variant all --arch all';
      const all = step.roles.includes('targets') ? ' --all' : ' --online';
      return `${step.drafted ? '' : `gantry refresh${all}${which} && `}gantry sign && gantry publish`;
    }
    case 'done':
      return undefined;
  }
}
