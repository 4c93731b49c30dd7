/** The verbs of `gantry key` that change nothing. */
import { exitCodeOf } from '../exit-codes.ts';
import { keysDirOption, pathOf, secretOptions, textOption } from '../options.ts';
import type { CommandSpec } from '../program.ts';
import { keysDirectoryOf, openKeySession, openWorkspaceOnly } from '../session.ts';
import { shortId } from '../ui/format.ts';
import { paintResult, sign as signs } from '../ui/style.ts';
import { table } from '../ui/table.ts';

export const list: CommandSpec = {
  name: 'list',
  summary: 'show the keys of the workspace, and where their private halves are',
  description:
    'With --pkcs11, shows the tokens of this machine instead, and the keys in them that are visible without a PIN, each with its URL for gantry key import.',
  options: [
    keysDirOption,
    {
      flags: '--pkcs11 [library]',
      description: 'show the tokens that a PKCS#11 library knows (default: GANTRY_PKCS11_MODULE, or the usual places)',
    },
  ],
  examples: ['gantry key list', 'gantry key list --pkcs11', 'gantry key list --pkcs11 /usr/lib/softhsm/libsofthsm2.so'],
  async run(context, _, options) {
    if (options['pkcs11'] !== undefined) {
      const { listTokens } = await import('../tokens.ts');
      return listTokens(context, textOption(options, 'pkcs11'));
    }
    const workspace = await openWorkspaceOnly(context, options);
    const keysDirectory = await keysDirectoryOf(context, options, workspace);
    const { isAtHand, listKeyFiles } = await import('../../lib/keys/key-file.ts');
    const { namedKeys } = await import('../../lib/workspace/key-ring.ts');
    const { keyContentOf } = await import('../../lib/tuf/key.ts');
    const files = new Map((await listKeyFiles(keysDirectory)).filter(isAtHand).map((file) => [keyContentOf(file.key), file]));
    const keys = (await namedKeys(workspace)).map(({ name, key, keyId }) => {
      const file = files.get(keyContentOf(key));
      return { name, type: key.keytype, keyId, atHand: file !== undefined, encrypted: file?.encrypted, reference: file?.reference };
    });
    return {
      json: { keysDirectory, keys },
      lines: [
        ...table(
          keys.map((one) => [one.name, one.type, shortId(one.keyId), whereOf(one)]),
          { head: ['name', 'type', 'key id', 'private half'] },
        ),
        '',
        `Private keys are looked for in ${keysDirectory}.`,
      ],
    };
  },
};

function whereOf({
  atHand,
  encrypted,
  reference,
}: {
  atHand: boolean;
  encrypted: boolean | undefined;
  reference: string | undefined;
}): string {
  if (reference !== undefined) return `at hand: ${reference}`;
  if (!atHand) return 'elsewhere';
  return encrypted === false ? 'at hand, NOT encrypted' : 'at hand';
}

export const show: CommandSpec = {
  name: 'show',
  arguments: [['<name>', 'a key of the workspace']],
  summary: 'print a public key, and its key id',
  async run(context, [name = ''], options) {
    const workspace = await openWorkspaceOnly(context, options);
    const { publicKeyNamed } = await import('../../lib/workspace/key-ring.ts');
    const { publicKeyToPem } = await import('../../lib/tuf/key.ts');
    const { key, keyId } = await publicKeyNamed(workspace, name);
    const pem = publicKeyToPem(key);
    return { json: { name, keyId, key, pem }, lines: [`${name}: ${key.keytype}, key id ${keyId}`, pem.trimEnd()] };
  },
};

export const exportPublic: CommandSpec = {
  name: 'export-public',
  arguments: [['<name>', 'a key of the workspace']],
  summary: 'write a public key for somebody else, and nothing but it',
  description: 'Writes SPKI in PEM, as openssl pkey -pubout does, or the key as it stands in root.json, with its key id.',
  options: [
    { flags: '--format <format>', description: 'how it is written', default: 'pem', choices: ['pem', 'tuf'] },
    { flags: '-o, --output <file>', description: 'write to a new file instead of stdout' },
  ],
  examples: ['gantry key export-public root-b -o root-b.pub.pem', 'gantry key export-public online --format tuf'],
  async run(context, [name = ''], options) {
    const workspace = await openWorkspaceOnly(context, options);
    const { publicKeyNamed } = await import('../../lib/workspace/key-ring.ts');
    const { publicKeyToPem } = await import('../../lib/tuf/key.ts');
    const { key, keyId } = await publicKeyNamed(workspace, name);
    const text = textOption(options, 'format') === 'tuf' ? JSON.stringify({ [keyId]: key }, undefined, 2) : publicKeyToPem(key).trimEnd();
    const output = textOption(options, 'output');
    if (output === undefined) return { json: { name, keyId, text }, lines: [text] };
    const { writeNewFile } = await import('../../lib/files/atomic.ts');
    await writeNewFile(pathOf(context, output), `${text}\n`);
    return { json: { name, keyId, output }, lines: [`Wrote the public half of ${name} (${shortId(keyId)}) to ${output}.`] };
  },
};

export const check: CommandSpec = {
  name: 'check',
  arguments: [['[names...]', 'keys of --keys-dir (default: all of them)']],
  summary: 'try whether the private keys at hand can sign',
  description: 'Opens each key, lets it sign something that counts for nothing, and verifies that. Nothing is changed.',
  options: secretOptions,
  examples: ['gantry key check', 'gantry key check online --json'],
  async run(context, names, options) {
    const workspace = await openWorkspaceOnly(context, options);
    const { checkKeys } = await import('../../lib/workspace/check-keys.ts');
    const session = await openKeySession(context, options, workspace);
    const checked = await checkKeys({ ...session, ...(names.length === 0 ? {} : { only: names }) });
    const [problem] = checked.flatMap((one) => one.problem ?? []);
    return {
      ...(problem === undefined ? {} : { exitCode: exitCodeOf(problem.code) }),
      json: {
        keysDirectory: session.keysDirectory,
        works: problem === undefined,
        keys: checked.map(({ file: { name, keyId, reference }, problem: found }) => ({
          name,
          keyId,
          reference,
          works: found === undefined,
          ...(found === undefined ? {} : { code: found.code, message: found.message }),
        })),
      },
      lines:
        checked.length === 0
          ? [`No private key is at hand in ${session.keysDirectory}.`]
          : checked.map(({ file: { name, key }, problem: found }) =>
              found === undefined
                ? `${paintResult('green', signs.done)} ${name} signs (${key.keytype})`
                : `${paintResult('red', signs.failed)} ${name}: ${found.message}`,
            ),
    };
  },
};
