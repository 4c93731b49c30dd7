import type { Context } from '../context.ts';
import type { PassphraseSource } from '../../lib/keys/passphrase.ts';
import { isSet, keyOptions, pathOf, textOption } from '../options.ts';
import type { CommandSpec, OptionValues } from '../program.ts';
import { keysDirectoryOf, openWorkspaceSession, passphraseSources } from '../session.ts';
import { shortId } from '../ui/format.ts';
import { table } from '../ui/table.ts';

const generate: CommandSpec = {
  name: 'generate',
  arguments: [['<names...>', 'one key for each name']],
  summary: 'make keys, encrypted at rest',
  description:
    'Makes private keys in --keys-dir and tells the workspace their public halves (keys/NAME.pub.pem). One passphrase is asked for the batch; openssl pkey opens the files.',
  options: [
    { flags: '--type <type>', description: 'kind of key', default: 'ed25519', choices: ['ed25519', 'ecdsa', 'rsa'] },
    { flags: '--unencrypted', description: 'write the private keys as they are: only for tests and machines that are vaults themselves' },
    ...keyOptions,
  ],
  examples: [
    'gantry key generate root-a root-b root-c targets online',
    'gantry key generate ci --type ecdsa --passphrase-file /run/secrets/passphrase',
  ],
  async run(context, names, options) {
    const { workspace } = await openWorkspaceSession(context, options);
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

const importOne: CommandSpec = {
  name: 'import',
  arguments: [
    ['<name>', 'what to call it'],
    ['<file>', 'PEM: PKCS#8, encrypted or not, or a public key (SPKI)'],
  ],
  summary: 'bring in a key that was made elsewhere',
  description:
    'A private key is copied into --keys-dir, encrypted; of a public key, a colleague’s for example, the workspace keeps a copy in keys/.',
  options: [{ flags: '--unencrypted', description: 'write the private key as it is' }, ...keyOptions],
  examples: ['gantry key import root-b ~/inbox/root-b.pub.pem', 'gantry key import targets openssl-key.pem'],
  async run(context, [name = '', file = ''], options) {
    const { workspace } = await openWorkspaceSession(context, options);
    const { importKey } = await import('../../lib/workspace/import-key.ts');
    const passphrases = await newPassphrases(context, options, 1);
    const { keyId, privatePath } = await importKey(workspace, name, pathOf(context, file), {
      keysDirectory: await keysDirectoryOf(context, options, workspace),
      askPassphrase: async (path) => passphrases.ask(path, 0),
      newPassphrase: async () => (isSet(options, 'unencrypted') ? undefined : passphrases.ask(NEW_KEYS, 0)),
    });
    const where = privatePath === undefined ? 'its private half stays where it is' : `its private half is ${privatePath}`;
    return { json: { name, keyId, privatePath }, lines: [`${name} is ${shortId(keyId)}; ${where}.`] };
  },
};

const list: CommandSpec = {
  name: 'list',
  summary: 'show the keys of the workspace, and which are at hand',
  options: keyOptions.slice(0, 1),
  async run(context, _, options) {
    const { workspace } = await openWorkspaceSession(context, options);
    const keysDirectory = await keysDirectoryOf(context, options, workspace);
    const { listKeyFiles } = await import('../../lib/keys/key-file.ts');
    const { namedKeys } = await import('../../lib/workspace/key-ring.ts');
    const atHand = new Set(
      (await listKeyFiles(keysDirectory)).flatMap(({ keyId, privatePath }) => (privatePath === undefined ? [] : [keyId])),
    );
    const keys = (await namedKeys(workspace)).map(({ name, key: { keytype }, keyId }) => ({
      name,
      type: keytype,
      keyId,
      atHand: atHand.has(keyId),
    }));
    return {
      json: { keysDirectory, keys },
      lines: [
        ...table(
          keys.map(({ name, type, keyId, atHand: here }) => [name, type, shortId(keyId), here ? 'at hand' : 'elsewhere']),
          {
            head: ['name', 'type', 'key id', 'private half'],
          },
        ),
        '',
        `Private keys are looked for in ${keysDirectory}.`,
      ],
    };
  },
};

const show: CommandSpec = {
  name: 'show',
  arguments: [['<name>', 'a key of the workspace']],
  summary: 'print a public key',
  async run(context, [name = ''], options) {
    const { workspace } = await openWorkspaceSession(context, options);
    const { publicKeyNamed } = await import('../../lib/workspace/key-ring.ts');
    const { publicKeyToPem } = await import('../../lib/tuf/key.ts');
    const { key: publicKey, keyId } = await publicKeyNamed(workspace, name);
    const pem = publicKeyToPem(publicKey);
    return { json: { name, keyId, key: publicKey, pem }, lines: [`${name}: ${publicKey.keytype}, key id ${keyId}`, pem.trimEnd()] };
  },
};

export const key: CommandSpec = { name: 'key', summary: 'make and look at keys', subcommands: [generate, importOne, list, show] };
