/** Options as they were parsed, in the types that commands want. */
import { resolve } from 'node:path';
import { GantryError, quote } from '../lib/errors.ts';
import type { Context } from './context.ts';
import type { OptionSpec, OptionValues } from './program.ts';

/** Before or after any command. */
export const globalOptions: readonly OptionSpec[] = [
  { flags: '-C, --workspace <dir>', description: 'act in this workspace instead of the current directory' },
  { flags: '--json', description: 'print one JSON object on stdout' },
  { flags: '-y, --yes', description: 'answer yes to every question' },
  { flags: '-q, --quiet', description: 'no progress and no notes' },
  { flags: '--no-color', description: 'no colours, as with NO_COLOR=1' },
];

export const storeOption: OptionSpec = { flags: '--store <where>', description: 'act on this store instead of the one in gantry.toml' };

export const repositoryOptions: readonly OptionSpec[] = [
  { flags: '--variant <name>', description: 'choose the repository by its variant, when the workspace has several' },
  { flags: '--arch <name>', description: 'choose the repository by its architecture' },
  storeOption,
];

/** For commands that act on several repositories at once. */
export const repositoriesOptions: readonly OptionSpec[] = [
  { flags: '--variant <names>', description: 'choose repositories by variant: names separated by commas, or "all"' },
  { flags: '--arch <names>', description: 'choose repositories by architecture: names separated by commas, or "all"' },
  storeOption,
];

export const keysDirOption: OptionSpec = {
  flags: '--keys-dir <dir>',
  description: 'where private keys are (default: ~/.config/gantry/keys/PRODUCT)',
};

export const keyOptions: readonly OptionSpec[] = [
  keysDirOption,
  { flags: '--passphrase-file <file>', description: 'read the passphrase from the first line of a file (mode 0600)' },
  { flags: '--passphrase-fd <n>', description: 'read the passphrase from an open file descriptor' },
];

/** For commands that may open a token. */
export const secretOptions: readonly OptionSpec[] = [
  ...keyOptions,
  { flags: '--pin-file <file>', description: 'read the PIN of a token from the first line of a file (mode 0600)' },
];

/** The options of whoever signs. */
export const signingOptions: readonly OptionSpec[] = [
  ...secretOptions,
  { flags: '--key <name>', description: 'sign with this key of --keys-dir only; may be repeated', repeat: true },
  {
    flags: '--signer <url>',
    description: 'sign with this key, too: pkcs11:, aws-kms:, aws-ssm:, ssh-agent:, command: or file: (docs/keys.md); may be repeated',
    repeat: true,
  },
];

export const dryRunOption: OptionSpec = { flags: '--dry-run', description: 'say what would happen, and change nothing' };

export const caOption: OptionSpec = {
  flags: '--ca <file>',
  description: 'trust the certificate authorities of this PEM file, and no others',
};

/** The options of whoever looks at a repository as a host does. */
export const hostOptions: readonly OptionSpec[] = [
  { flags: '--root <file>', description: 'the root that is trusted: any N.root.json', required: true },
  { flags: '--targets-url <url>', description: 'where targets are (default: ../../targets/ from the metadata)' },
  {
    flags: '--mirror <url>',
    description: 'another folder of timestamp.json of the same repository, asked when the first fails; may be repeated',
    repeat: true,
  },
  caOption,
  { flags: '--state <dir>', description: 'remember what was trusted, so that a later run notices a rollback' },
];

/** In the place of a URL. */
export const bundleOptions: readonly OptionSpec[] = [
  { flags: '--bundle <file>', description: 'read this bundle in the place of a URL' },
  { flags: '--accept-expired <time>', description: 'with --bundle: accept what expired no longer ago than this, for example "14 days"' },
];

export function textOption(options: OptionValues, name: string): string | undefined {
  const value = options[name];
  return typeof value === 'string' ? value : undefined;
}

export function isSet(options: OptionValues, name: string): boolean {
  return options[name] === true;
}

/** @throws GantryError `usage/option` */
export function numberOption(
  options: OptionValues,
  name: string,
  range: { readonly min: number; readonly max: number },
): number | undefined {
  const text = textOption(options, name);
  if (text === undefined) return undefined;
  const value = /^[0-9]+$/u.test(text) ? Number(text) : Number.NaN;
  if (value >= range.min && value <= range.max) return value;
  const option = `--${name.replaceAll(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`)}`;
  throw new GantryError('usage/option', `Cannot use ${option} ${quote(text)}: expected a whole number from ${range.min} to ${range.max}`, {
    option,
  });
}

/** Names separated by commas. */
export function listOption(options: OptionValues, name: string): readonly string[] {
  return (textOption(options, name) ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** The values of an option that may be given several times. */
export function listOf(options: OptionValues, name: string): readonly string[] {
  const value = options[name];
  return typeof value === 'object' ? value : [];
}

/** A path on the command line is relative to the current directory. */
export function pathOf(context: Context, path: string): string {
  return resolve(context.cwd, path);
}
