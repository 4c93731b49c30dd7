import { GantryError } from '../../lib/errors.ts';
import type { OpenedParcel } from '../../lib/publish/parcels.ts';
import type { Parcel } from '../../lib/repository/parcel.ts';
import type { Context } from '../context.ts';
import { chooseDrafts, keyNames, openParcelHere, readParcel, textOf, WHAT, workspaceIfAny, type DraftName } from '../drafts.ts';
import { pathOf, storeOption, textOption } from '../options.ts';
import type { CommandSpec, OptionValues } from '../program.ts';
import { openWorkspaceOnly, openWorkspaceSession, type WorkspaceSession } from '../session.ts';
import { describeDraft } from '../ui/drafts.ts';
import { shellWord } from '../ui/format.ts';

const outputOption = {
  flags: '-o, --output <file>',
  description: 'where the file goes; one that exists is refused',
  required: true,
} as const;

export const exportDraft: CommandSpec = {
  name: 'export',
  arguments: [WHAT],
  summary: 'write a draft into one file for a key holder',
  description:
    'The file has the draft, what it was computed from, the root chain and the signatures so far: whoever has 1.root.json of the product can verify, understand and sign it offline. Images are not in it.',
  options: [outputOption, storeOption],
  examples: ['gantry draft export root -o ceremony.draft', 'gantry draft export metal/x86_64 -o release.draft'],
  async run(context, [what], options) {
    const session = await openWorkspaceSession(context, options);
    const name = await chooseOne(session, what);
    const parcel = await pack(session, name);
    const path = await writeParcel(context, options, parcel);
    return {
      json: { draft: textOf(name), file: path },
      lines: [
        `Wrote the draft of ${textOf(name)} to ${path}.`,
        '',
        `Next: gantry sign ${shellWord(path)}   (where the keys are)`,
        `      gantry draft import ${shellWord(path)}`,
      ],
    };
  },
};

async function chooseOne({ workspace }: WorkspaceSession, what: string | undefined): Promise<DraftName> {
  const [name, ...others] = await chooseDrafts(workspace, what);
  if (name !== undefined && others.length === 0) return name;
  throw new GantryError('usage/option', 'Cannot write several drafts into one file: expected the name of one', { option: '[what]' });
}

async function pack({ workspace, store }: WorkspaceSession, name: DraftName): Promise<Parcel> {
  const { packDraft, packRoot } = await import('../../lib/publish/parcels.ts');
  const parcel = name === 'root' ? await packRoot(workspace) : await packDraft(workspace, store, name);
  if (parcel !== undefined) return parcel;
  // It has become live since: whoever published it was cut off.
  const repository = textOf(name);
  throw new GantryError('publish/nothing', `Cannot hand on the draft of ${repository}: it is published already`, { repository });
}

async function writeParcel(context: Context, options: OptionValues, parcel: Parcel): Promise<string> {
  const { writeNewFile } = await import('../../lib/files/atomic.ts');
  const { encodeParcel } = await import('../../lib/repository/parcel.ts');
  const path = pathOf(context, textOption(options, 'output') ?? '');
  await writeNewFile(path, encodeParcel(parcel));
  return path;
}

export const importDraft: CommandSpec = {
  name: 'import',
  arguments: [['<files...>', 'what gantry draft export or gantry draft merge wrote']],
  summary: 'take a draft, or the signatures that it gained elsewhere',
  description:
    'Every signature is verified before anything is stored: one that does not count refuses the file. The signatures join those that the draft has here; the order makes no difference.',
  examples: ['gantry draft import alice.draft bob.draft'],
  async run(context, files, options) {
    const workspace = await openWorkspaceOnly(context, options);
    const { withWorkspaceLock } = await import('../../lib/workspace/workspace.ts');
    const { importParcel } = await import('../../lib/publish/parcels.ts');
    const { viewParcel } = await import('../../lib/publish/draft-view.ts');
    const nameOf = await keyNames(workspace);
    const parcels: Parcel[] = [];
    for (const file of files) parcels.push(await readParcel(context, file));
    return withWorkspaceLock(workspace, async () => {
      // One that is refused must not leave the others half taken.
      for (const parcel of parcels) await openParcelHere(context, parcel, workspace);
      const imported: { readonly state: string; readonly opened: OpenedParcel }[] = [];
      for (const parcel of parcels) imported.push(await importParcel(workspace, parcel, context.now));
      const last = new Map(imported.map((one) => [one.opened.kind === 'root' ? 'root' : textOf(one.opened.repository), one]));
      return {
        json: { imported: [...last].map(([draft, { state, opened }]) => ({ draft, result: state, ...viewParcel(opened, nameOf) })) },
        lines: [
          ...[...last.values()].flatMap(({ state, opened }) =>
            state === 'draft'
              ? describeDraft(viewParcel(opened, nameOf), nameOf)
              : [
                  `Root version ${opened.kind === 'root' ? opened.root.signed.version : ''} is complete${state === 'known' ? ' already' : ''}.`,
                ],
          ),
          '',
          `Next: ${imported.some(({ state }) => state === 'draft') ? 'gantry sign' : 'gantry status'}`,
        ],
      };
    });
  },
};

export const mergeDraft: CommandSpec = {
  name: 'merge',
  arguments: [['<files...>', 'copies of one draft, signed in different places']],
  summary: 'put the signatures of several files into one',
  description:
    'The result is the union of the signatures, whatever the order. It works without a workspace; in one, its roots are what counts.',
  options: [outputOption],
  examples: ['gantry draft merge alice.draft bob.draft -o both.draft'],
  async run(context, files, options) {
    const { mergeParcels } = await import('../../lib/publish/parcels.ts');
    const { viewParcel } = await import('../../lib/publish/draft-view.ts');
    const workspace = await workspaceIfAny(context, options);
    const nameOf = await keyNames(workspace);
    const parcels: Parcel[] = [];
    for (const file of files) parcels.push(await readParcel(context, file));
    for (const parcel of parcels) await openParcelHere(context, parcel, workspace);
    const [first, ...rest] = parcels;
    if (first === undefined) throw new RangeError('the command line asks for at least one file');
    const merged = rest.reduce(mergeParcels, first);
    const view = viewParcel(await openParcelHere(context, merged, workspace), nameOf);
    const path = await writeParcel(context, options, merged);
    return {
      json: { file: path, ...view },
      lines: [...describeDraft(view, nameOf), '', `Next: gantry draft import ${shellWord(path)}`],
    };
  },
};
