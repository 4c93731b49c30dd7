/** Whom to believe, for commands that take a repository over. */
import type { CloneTrust } from '../lib/publish/clone-roots.ts';
import type { RepositoryName } from '../lib/workspace/config.ts';
import type { Context } from './context.ts';
import { isSet, pathOf, textOption } from './options.ts';
import type { OptionSpec, OptionValues } from './program.ts';

export const trustOptions: readonly OptionSpec[] = [
  { flags: '--root <file>', description: 'the root that is trusted: any N.root.json' },
  { flags: '--root-sha256 <hex>', description: 'the SHA-256 of the root that is trusted, which the repository has' },
  { flags: '--trust-first-root', description: 'believe whatever 1.root.json the repository has' },
];

/** @throws GantryError `usage/option` */
export async function refuse(option: string, problem: string): Promise<never> {
  const { GantryError } = await import('../lib/errors.ts');
  throw new GantryError('usage/option', problem, { option });
}

export async function trustOf(context: Context, options: OptionValues, verb: 'clone' | 'import'): Promise<CloneTrust> {
  const [root, digest] = [textOption(options, 'root'), textOption(options, 'rootSha256')];
  const given = [root, digest].filter((one) => one !== undefined).length + (isSet(options, 'trustFirstRoot') ? 1 : 0);
  if (given !== 1) {
    return refuse(
      '--root',
      `Cannot ${verb} without knowing whom to believe: ${given} of --root, --root-sha256 and --trust-first-root are given; expected one`,
    );
  }
  if (root !== undefined) {
    const { readWholeFile } = await import('../lib/files/read.ts');
    return { kind: 'root', bytes: await readWholeFile(pathOf(context, root), { maxBytes: 512_000 }) };
  }
  if (digest === undefined) return { kind: 'first-use' };
  const { isSha256Hex } = await import('../lib/tuf/hash.ts');
  const sha256 = digest.toLowerCase();
  if (isSha256Hex(sha256)) return { kind: 'digest', sha256 };
  const { quote } = await import('../lib/errors.ts');
  return refuse('--root-sha256', `Cannot use --root-sha256 ${quote(digest)}: expected 64 hexadecimal digits`);
}

/** As the published layout has it: `…/VARIANT/ARCH/timestamp.json`. */
export async function repositoryIn(url: string, options: OptionValues): Promise<RepositoryName> {
  const { placeUrl } = await import('../lib/client/folder-url.ts');
  const { checkName } = await import('../lib/release/names.ts');
  const folders = placeUrl(url)
    .pathname.split('/')
    .filter((part) => part !== '')
    .map(decodeURIComponent);
  const variant = textOption(options, 'variant') ?? folders.at(-2);
  const arch = textOption(options, 'arch') ?? folders.at(-1);
  if (variant === undefined || arch === undefined) {
    return refuse('--variant', 'Cannot tell the variant and the architecture by the URL; expected --variant and --arch');
  }
  return { variant: checkName('variant', variant), arch: checkName('arch', arch) };
}
