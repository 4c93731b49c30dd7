import type { SignedItem } from '../../lib/publish/sign.ts';
import { keyOptions, storeOption } from '../options.ts';
import type { CommandSpec } from '../program.ts';
import { openKeySession, openWorkspaceSession } from '../session.ts';
import { count, shortId } from '../ui/format.ts';
import { paintResult, sign as signs } from '../ui/style.ts';

export const sign: CommandSpec = {
  name: 'sign',
  summary: 'sign whatever waits, with the keys at hand',
  description:
    'Signs the drafted root and every draft with the keys in --keys-dir, and says what is still missing. Key holders can take turns: commit drafts/ to hand them on.',
  options: [...keyOptions, storeOption],
  examples: ['gantry sign', 'gantry sign --keys-dir /media/usb/keys', 'gantry sign --passphrase-file /run/secrets/passphrase --json'],
  async run(context, _, options) {
    const { workspace, store } = await openWorkspaceSession(context, options);
    const { signDrafts } = await import('../../lib/publish/sign.ts');
    const { withWorkspaceLock } = await import('../../lib/workspace/workspace.ts');
    const { namedKeys } = await import('../../lib/workspace/key-ring.ts');
    const names = new Map<string, string>((await namedKeys(workspace)).map(({ keyId, name }) => [keyId, name]));
    const nameOf = (keyId: string): string => names.get(keyId) ?? shortId(keyId);
    const session = await openKeySession(context, options, workspace);
    const { items, redrafted } = await withWorkspaceLock(workspace, async () =>
      signDrafts(workspace, store, { ...session, now: context.now }),
    );
    const missing = items.flatMap((item) => item.missing);
    const lines = [
      ...redrafted.map(
        ({ variant, arch }) => `Somebody else has published ${variant}/${arch} since: its draft was made again on top of that.`,
      ),
      ...items.flatMap((item) => describe(item, nameOf)),
    ];
    return {
      json: { items, redrafted, complete: missing.length === 0 },
      lines: [...(items.length === 0 ? ['Nothing waits for a signature.'] : lines), ...next(items)],
    };
  },
};

function describe({ repository, role, version, signedBy, missing }: SignedItem, nameOf: (keyId: string) => string): readonly string[] {
  const what = `${repository === undefined ? '' : `${repository.variant}/${repository.arch} `}${role} version ${version}`;
  const who = signedBy.length === 0 ? 'not signed here' : `signed by ${signedBy.map(nameOf).join(', ')}`;
  if (missing.length === 0) return [`${paintResult('green', signs.done)} ${what}: ${who}`];
  return [
    `${paintResult('yellow', signs.failed)} ${what}: ${who}`,
    ...missing.map(
      ({ have, need, candidates }) =>
        `    ${have} of ${need} signatures; missing ${count(need - have, 'more')} of ${candidates.map(nameOf).join(', ')}`,
    ),
  ];
}

function next(items: readonly SignedItem[]): readonly string[] {
  if (items.some(({ missing }) => missing.length > 0)) return ['', 'Next: gantry sign where the missing keys are'];
  if (items.some(({ repository }) => repository !== undefined)) return ['', 'Next: gantry publish'];
  return items.length === 0 ? [] : ['', 'Next: gantry release add VERSION --boot FILE --root FILE --hash FILE'];
}
