/** What `gantry key` says of tokens, and of keys that are made in them or in a cloud. */
import type { TokenKey } from '../lib/keys/pkcs11/list.ts';
import { GantryError, named } from '../lib/errors.ts';
import type { Workspace } from '../lib/workspace/workspace.ts';
import type { Context } from './context.ts';
import { isSet, pathOf, textOption } from './options.ts';
import type { OptionValues, Outcome } from './program.ts';
import { openKeySession } from './session.ts';
import { shellWord, shortId } from './ui/format.ts';
import { table } from './ui/table.ts';

/** @param library the one that was named */
export async function listTokens(context: Context, library: string | undefined): Promise<Outcome> {
  const { listPkcs11Keys } = await import('../lib/keys/pkcs11/list.ts');
  const tokens = await listPkcs11Keys({ modulePath: library === undefined ? undefined : pathOf(context, library), env: context.env });
  const lines = tokens.flatMap(({ label, serial, slotId, keys, url }) => [
    `token ${named(label)}: serial ${named(serial)}, slot ${slotId}`,
    ...indented(
      keys.length === 0
        ? ['No key is visible without a PIN.', `gantry key generate NAME --pkcs11 ${shellWord(url)}`]
        : [
            ...table(
              keys.map((key) => [
                named(key.label),
                key.key?.keytype ?? '?',
                key.keyId === undefined ? '-' : shortId(key.keyId),
                signsOf(key),
              ]),
              { head: ['label', 'type', 'key id', 'may sign'] },
            ),
            ...keys.map((key) => `gantry key import NAME ${shellWord(key.url)}`),
          ],
    ),
    '',
  ]);
  return {
    json: {
      tokens: tokens.map(({ keys, ...token }) => ({
        ...token,
        keys: keys.map(({ key, ...about }) => ({ ...about, ...(key === undefined ? {} : { type: key.keytype }) })),
      })),
    },
    lines: tokens.length === 0 ? ['No token is plugged in.'] : lines.slice(0, -1),
  };
}

function indented(lines: readonly string[]): readonly string[] {
  return lines.map((line) => `  ${line}`);
}

function signsOf({ problem, maySign }: TokenKey): string {
  if (problem !== undefined) return `no: ${problem}`;
  if (maySign === undefined) return 'a PIN would tell';
  return maySign ? 'yes' : 'no';
}

interface NewKey {
  readonly options: OptionValues;
  readonly workspace: Workspace;
  readonly names: readonly string[];
  readonly url: string;
}

export async function makeElsewhere(context: Context, { options, workspace, names: [name = '', ...more], url }: NewKey): Promise<Outcome> {
  if (more.length > 0) throw notWith('several names', 'one NAME for each key');
  if (isSet(options, 'unencrypted')) throw notWith('--unencrypted', 'no such option: it is about files');
  const { makeKeyElsewhere } = await import('../lib/workspace/make-key-elsewhere.ts');
  const session = await openKeySession(context, options, workspace);
  const type = textOption(options, 'type');
  const { keyId, reference } = await makeKeyElsewhere(workspace, name, {
    ...session,
    url,
    type: type === 'ecdsa' || type === 'rsa' ? type : 'ed25519',
  });
  const { keysDirectory } = session;
  return {
    json: { keysDirectory, keys: [{ name, keyId, reference }] },
    lines: [
      `${name} is ${shortId(keyId)}; its private half is there and nowhere else.`,
      `${keysDirectory}/${name}.signer says where: ${reference ?? url}`,
      'Next: gantry root init says who may sign what.',
    ],
  };
}

function notWith(what: string, expected: string): GantryError<'usage/option'> {
  return new GantryError('usage/option', `Cannot use ${what} with --pkcs11 or --ssm; expected ${expected}`, { option: '--pkcs11' });
}
