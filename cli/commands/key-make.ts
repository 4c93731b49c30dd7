/** The verbs of `gantry key` that add one. */
import type { Context } from '../context.ts';
import type { PassphraseSource } from '../../lib/keys/passphrase.ts';
import type { ImportedKey } from '../../lib/workspace/import-key.ts';
import { isSet, pathOf, secretOptions, textOption } from '../options.ts';
import type { CommandSpec, OptionValues } from '../program.ts';
import { keysDirectoryOf, openKeySession, openWorkspaceOnly, passphraseSources } from '../session.ts';
import { shortId } from '../ui/format.ts';
import { table } from '../ui/table.ts';

export const generate: CommandSpec = {
  name: 'generate',
  arguments: [['<names...>', 'one key for each name']],
  summary: 'make keys, encrypted at rest',
  description:
    'Makes private keys in --keys-dir and tells the workspace their public halves (keys/NAME.pub.pem). One passphrase is asked for the batch; openssl pkey opens the files.',
  options: [
    { flags: '--pkcs11 <url>', description: 'make the key in this token, where it stays: pkcs11:token=LABEL (docs/keys.md)' },
    { flags: '--ssm <url>', description: 'keep the key in this new parameter of AWS, encrypted: aws-ssm://PROFILE/PARAMETER' },
    { flags: '--type <type>', description: 'kind of key', default: 'ed25519', choices: ['ed25519', 'ecdsa', 'rsa'] },
    { flags: '--unencrypted', description: 'write the private keys as they are: only for tests and machines that are vaults themselves' },
    ...secretOptions,
  ],
  examples: [
    'gantry key generate root-a root-b root-c targets online',
    "gantry key generate root-d --type ecdsa --pkcs11 'pkcs11:token=release'",
    'gantry key generate ci --type ecdsa --passphrase-file /run/secrets/passphrase',
  ],
  async run(context, names, options) {
    const workspace = await openWorkspaceOnly(context, options);
    const url = textOption(options, 'pkcs11') ?? textOption(options, 'ssm');
    if (url !== undefined) {
      const { makeElsewhere } = await import('../tokens.ts');
      return makeElsewhere(context, { options, workspace, names, url });
    }
    const keysDirectory = await keysDirectoryOf(context, options, workspace);
    const { makeKeys } = await import('../../lib/workspace/make-keys.ts');
    const passphrase = isSet(options, 'unencrypted')
      ? undefined
      : await (await newPassphrases(context, options, names.length)).ask(NEW_KEYS, 0);
    const type = textOption(options, 'type');
    const keys = await makeKeys(workspace, names, {
      keysDirectory,
      type: type === 'ecdsa' || type === 'rsa' ? type : 'ed25519',
      passphrase,
    });
    return {
      json: {
        keysDirectory,
        encrypted: passphrase !== undefined,
        keys: keys.map(({ name, keyId, privatePath }) => ({ name, keyId, privatePath })),
      },
      lines: [
        ...table(
          keys.map(({ name, keyId }) => [name, shortId(keyId)]),
          { head: ['name', 'key id'] },
        ),
        '',
        `Private keys are in ${keysDirectory}${passphrase === undefined ? ', NOT encrypted' : ', encrypted'}; their public halves are in keys/.`,
        'Next: gantry root init says who may sign what.',
      ],
    };
  },
};

/** What a passphrase is asked for when it is not for a file that exists. */
const NEW_KEYS = 'the new keys';

/** Asks twice for what new keys are encrypted with, once for a file that exists. */
async function newPassphrases(context: Context, options: OptionValues, count: number): Promise<PassphraseSource> {
  const { passphraseFrom } = await import('../../lib/keys/passphrase.ts');
  const ask = async (path: string): Promise<string> => {
    const { askNewPassphrase, askPassphrase } = await import('../ui/prompt.ts');
    if (path !== NEW_KEYS) return askPassphrase(`Passphrase for ${path}:`, context.signal);
    return (await askNewPassphrase(`Passphrase for ${count === 1 ? 'the new key' : `the ${count} new keys`}:`, context.signal)) ?? '';
  };
  return passphraseFrom({ ...passphraseSources(context, options), prompt: context.canAsk ? ask : undefined });
}

export const importOne: CommandSpec = {
  name: 'import',
  arguments: [
    ['<name>', 'what to call it'],
    ['<source>', 'PEM: PKCS#8, encrypted or not, or a public key (SPKI); or the URL of a key that stays where it is'],
  ],
  summary: 'bring in a key that was made elsewhere',
  description:
    'A private key is copied into --keys-dir, encrypted; of a public key, a colleague’s for example, the workspace keeps a copy in keys/. A key in a token, a cloud or an agent stays there: --keys-dir keeps its URL (docs/keys.md), which is no secret.',
  options: [{ flags: '--unencrypted', description: 'write the private key as it is' }, ...secretOptions],
  examples: [
    'gantry key import root-b ~/inbox/root-b.pub.pem',
    'gantry key import targets openssl-key.pem',
    "gantry key import root-a 'pkcs11:token=release;object=root-a'",
    'gantry key import online aws-kms:///alias/os-online',
    'gantry key import root-c ssh-agent:SHA256:6ChyGG+7ZXpD0kQ8mZfU5bA',
  ],
  async run(context, [name = '', source = ''], options) {
    const workspace = await openWorkspaceOnly(context, options);
    const { importKey } = await import('../../lib/workspace/import-key.ts');
    const { isKeyReference } = await import('../../lib/keys/reference.ts');
    // The first to look takes the passphrase out of the environment.
    const passphrases = await newPassphrases(context, options, 1);
    const imported = await importKey(workspace, name, isKeyReference(source) ? source : pathOf(context, source), {
      ...(await openKeySession(context, options, workspace)),
      passphrases,
      newPassphrase: async () => (isSet(options, 'unencrypted') ? undefined : passphrases.ask(NEW_KEYS, 0)),
    });
    return { json: { name, ...imported }, lines: [`${name} is ${shortId(imported.keyId)}; ${whereOf(imported)}.`] };
  },
};

function whereOf({ privatePath, reference }: ImportedKey): string {
  if (reference !== undefined) return `it stays where it is: ${reference}`;
  return privatePath === undefined ? 'its private half stays where it is' : `its private half is ${privatePath}`;
}
