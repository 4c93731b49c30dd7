/** `gantry status` of a draft in a file: who has signed it, who is missing, until when it is of use, and what is typed next. */
import type { RoleView, Tally } from '../lib/repository/draft-view.ts';
import { keysAtHand } from './at-hand.ts';
import type { Context } from './context.ts';
import { keyNames, openParcelHere, readParcel, workspaceIfAny } from './drafts.ts';
import { exitCodeOf } from './exit-codes.ts';
import { judgedAt } from './moment.ts';
import { textOption } from './options.ts';
import type { OptionValues, Outcome } from './program.ts';
import { EXIT_OF } from './standing.ts';
import { draftTitle } from './ui/drafts.ts';
import { formatWhen, shellWord } from './ui/format.ts';
import { paintResult } from './ui/style.ts';
import { table } from './ui/table.ts';

export async function draftStatus(context: Context, file: string, options: OptionValues): Promise<Outcome> {
  const now = await judgedAt(context, options);
  const workspace = await workspaceIfAny(context, options);
  const parcel = await readParcel(context, file);
  const opened = await openParcelHere(context, parcel, workspace, { rootFile: textOption(options, 'root'), without: 'as-it-is' });
  const { viewParcel } = await import('../lib/publish/draft-view.ts');
  const { parseExpiryPolicy, urgencyOf } = await import('../lib/repository/expiry.ts');
  const nameOf = await keyNames(workspace);
  const view = viewParcel(opened, nameOf);
  const policy = workspace?.expiry ?? parseExpiryPolicy({});
  const product = workspace?.config.product ?? parcel.product;
  const atHand = await keysAtHand(context, options, { config: { product } });
  const roles = view.roles.map((role) => ({
    ...role,
    missing: role.tallies.filter(isShort),
    urgency: urgencyOf(role.role, role.expires, { now, policy }),
  }));
  const urgency =
    roles.find((role) => role.urgency === 'overdue')?.urgency ?? roles.find((role) => role.urgency === 'due')?.urgency ?? 'fine';
  const open = roles.flatMap(({ missing }) => missing.flatMap((tally) => tally.open));
  const mine = open.filter((keyId) => atHand.has(keyId));
  const word = shellWord(file);
  const nextCommand = open.length === 0 ? `gantry draft import ${word}` : `gantry sign ${word}`;
  const where = open.length === 0 || mine.length > 0 ? '' : `   (where one of ${[...new Set(open)].map(nameOf).join(', ')} is)`;
  return {
    json: { ...view, roles, complete: open.length === 0, atHand: mine, urgency, nextCommand },
    lines: [
      `${paintResult('bold', draftTitle(view))}, drafted on top of ${view.base}`,
      ...table(
        roles.map((role) => [
          `  ${role.role}`,
          String(role.version),
          paintResult(
            role.urgency === 'fine' ? 'green' : role.urgency === 'due' ? 'yellow' : 'red',
            formatWhen(new Date(role.expires), now),
          ),
          role.tallies.map((tally) => signedText(tally, role, nameOf)).join('; '),
        ]),
        { head: ['  drafted', 'version', 'expires', 'signed'], right: [1] },
      ),
      '',
      `Next: ${nextCommand}${where}`,
    ],
    exitCode: roles.length === 0 ? exitCodeOf('publish/nothing') : EXIT_OF[urgency],
  };
}

function isShort({ need, signedBy }: Tally): boolean {
  return signedBy.length < need;
}

function signedText(tally: Tally, { tallies }: RoleView, nameOf: (keyId: string) => string): string {
  const { need, signedBy, open, rootVersion } = tally;
  const of = tallies.length > 1 ? ` of root ${rootVersion}` : '';
  const who = signedBy.length === 0 ? '' : `: ${signedBy.map(nameOf).join(', ')}`;
  return `${signedBy.length} of ${need}${of}${who}${isShort(tally) ? `; missing ${need - signedBy.length} of ${open.map(nameOf).join(', ')}` : ''}`;
}
