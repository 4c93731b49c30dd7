import type { SignedItem, SigningAsk } from '../../lib/publish/signing.ts';
import { exitCodeOf } from '../exit-codes.ts';
import type { Context } from '../context.ts';
import { keyNames, openParcelHere, readParcel, workspaceIfAny } from '../drafts.ts';
import { pathOf, signingOptions, storeOption, textOption } from '../options.ts';
import type { CommandSpec, OptionValues, Outcome } from '../program.ts';
import { openKeySession, openWorkspaceSession } from '../session.ts';
import { describeRoles, draftTitle } from '../ui/drafts.ts';
import { count, shellWord } from '../ui/format.ts';
import { paint, paintResult, sign as signs } from '../ui/style.ts';

type KeyNames = (keyId: string) => string;

export const sign: CommandSpec = {
  name: 'sign',
  arguments: [['[file]', 'a file that gantry draft export wrote: signs the draft in it, without the store']],
  summary: 'sign whatever waits, with the keys at hand',
  description:
    'Shows what waits and what it means, asks (on a terminal, without --yes), signs with the keys in --keys-dir, and says what is still missing and from whom. Each signature is kept at once: who is interrupted goes on where they were.',
  options: [
    ...signingOptions,
    storeOption,
    { flags: '--root <file>', description: 'with a file, outside a workspace: the root that you trust, any N.root.json' },
  ],
  examples: [
    'gantry sign',
    'gantry sign --keys-dir /media/usb/keys',
    'gantry sign ceremony.draft --root 1.root.json --keys-dir /media/usb/keys',
    'gantry sign --passphrase-file /run/secrets/passphrase --json',
  ],
  async run(context, [file], options) {
    return file === undefined ? signWaiting(context, options) : signFile(context, file, options);
  },
};

async function signWaiting(context: Context, options: OptionValues): Promise<Outcome> {
  const { workspace, store } = await openWorkspaceSession(context, options);
  const { signDrafts } = await import('../../lib/publish/sign.ts');
  const { withWorkspaceLock } = await import('../../lib/workspace/workspace.ts');
  const nameOf = await keyNames(workspace);
  const session = await openKeySession(context, options, workspace);
  const { items, redrafted } = await withWorkspaceLock(workspace, async () =>
    signDrafts(workspace, store, { ...session, now: context.now, ask: askOn(context, nameOf) }),
  );
  return {
    ...(await endOf(items)),
    json: { items: items.map(jsonOf), redrafted, complete: isComplete(items) },
    lines: [
      ...redrafted.map(
        (repository) => `Somebody else has published ${draftTitle({ repository })} since: its draft was made again on top of that.`,
      ),
      ...(items.length === 0 ? ['Nothing waits for a signature.'] : items.flatMap((item) => describe(item, nameOf))),
      ...next(items),
    ],
  };
}

async function signFile(context: Context, file: string, options: OptionValues): Promise<Outcome> {
  const { signParcel } = await import('../../lib/publish/sign-parcel.ts');
  const { writeFileAtomic } = await import('../../lib/files/atomic.ts');
  const { encodeParcel } = await import('../../lib/repository/parcel.ts');
  const workspace = await workspaceIfAny(context, options);
  const parcel = await readParcel(context, file);
  const opened = await openParcelHere(context, parcel, workspace, {
    rootFile: textOption(options, 'root'),
    without: 'refuse',
  });
  const nameOf = await keyNames(workspace);
  const product = workspace?.config.product ?? parcel.product;
  const items = await signParcel(opened, {
    ...(await openKeySession(context, options, { config: { product } })),
    now: context.now,
    nameOf,
    ask: askOn(context, nameOf),
    keep: async (signed) => writeFileAtomic(pathOf(context, file), encodeParcel(signed)),
  });
  const back = items.some(({ reason }) => reason === 'signed')
    ? ['', `Next: take it back, then: gantry draft import ${shellWord(file)}`]
    : [];
  return {
    ...(await endOf(items)),
    json: { items: items.map(jsonOf), redrafted: [], complete: isComplete(items) },
    lines: [...(items.length === 0 ? ['Nothing in it waits for a signature.'] : items.flatMap((one) => describe(one, nameOf))), ...back],
  };
}

/** Shows what waits. Who sits at a terminal is asked; nobody else can be. */
function askOn(context: Context, nameOf: KeyNames): (ask: SigningAsk) => Promise<boolean> {
  return async ({ repository, base, views, mine, invited }) => {
    const title = draftTitle(repository === undefined ? {} : { repository });
    context.note(`${paint('bold', title)}, drafted on top of ${base}`);
    for (const line of describeRoles(views, nameOf)) context.note(line);
    if (mine.length === 0) return false;
    const names = mine.map(nameOf).join(', ');
    if (invited.length > 0) context.note(`You are invited: ${invited.map(nameOf).join(', ')} would become a root key with this.`);
    const [first] = views;
    const roles = views.length > 1 || first === undefined ? count(views.length, 'role') : `${first.role} version ${first.version}`;
    const question = `Sign ${title === 'root' ? '' : `${title} `}${roles} with ${names}?`;
    return !context.canAsk || context.confirm(question);
  };
}

/** Who could not sign at all is told why; where only some could not and more is missing, the exit code says so. */
async function endOf(items: readonly SignedItem[]): Promise<Pick<Outcome, 'exitCode'>> {
  const { failureOf } = await import('../../lib/publish/signing.ts');
  const failure = failureOf(items);
  if (failure !== undefined) throw failure;
  const [failed] = items.filter(({ missing }) => missing.length > 0).flatMap((item) => item.failed);
  return failed === undefined ? {} : { exitCode: exitCodeOf(failed.error.code) };
}

function jsonOf({ failed, ...item }: SignedItem): object {
  return { ...item, failed: failed.map(({ keyId, error: { code, message } }) => ({ keyId, code, message })) };
}

function isComplete(items: readonly SignedItem[]): boolean {
  return items.every(({ missing }) => missing.length === 0);
}

function describe({ repository, role, version, reason, signedBy, failed, missing }: SignedItem, nameOf: KeyNames): readonly string[] {
  const what = `${repository === undefined ? '' : `${draftTitle({ repository })} `}${role} version ${version}`;
  const who = {
    signed: `signed by ${signedBy.map(nameOf).join(', ')}`,
    declined: 'not signed, as you said',
    'not-yours': 'not signed here: none of the keys at hand may sign it',
    failed: 'not signed: no key at hand could be used',
    complete: 'complete',
  }[reason];
  const failures = failed.map(({ keyId, error }) => `    ${nameOf(keyId)} did not sign: ${error.message}`);
  if (missing.length === 0) return [`${paintResult('green', signs.done)} ${what}: ${who}`, ...failures];
  return [
    `${paintResult('yellow', signs.failed)} ${what}: ${who}`,
    ...failures,
    ...missing.map(
      ({ have, need, candidates }) =>
        `    ${have} of ${need} signatures; missing ${need - have} more of ${candidates.map(nameOf).join(', ')}`,
    ),
  ];
}

/** What is typed next, exactly. */
function next(items: readonly SignedItem[]): readonly string[] {
  if (items.length === 0) return ['', 'Next: gantry status'];
  if (items.some(({ reason }) => reason === 'declined')) return ['', 'Next: gantry draft show, gantry draft cancel, or gantry sign'];
  const open = items.find(({ missing }) => missing.length > 0);
  if (open !== undefined) {
    const what = draftTitle(open.repository === undefined ? {} : { repository: open.repository });
    const file = `${open.role === 'root' ? 'root' : `${what.replaceAll('/', '-')}-${open.role}`}-${open.version}.draft`;
    return [
      '',
      `Next: gantry draft export ${what} -o ${file}`,
      `      gantry sign ${file}   (where a missing key is)`,
      `      gantry draft import ${file}`,
    ];
  }
  if (items.some(({ repository }) => repository !== undefined)) return ['', 'Next: gantry publish'];
  const isFirst = items.some(({ role, version }) => role === 'root' && version === 1);
  return ['', `Next: ${isFirst ? 'gantry release add VERSION --boot FILE --root FILE --hash FILE' : 'gantry publish'}`];
}
