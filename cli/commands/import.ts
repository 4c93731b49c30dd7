import type { Import, ImportSource } from '../../lib/publish/import.ts';
import type { InfraRepository } from '../../lib/workspace/infra-file.ts';
import type { RepositoryName } from '../../lib/workspace/config.ts';
import type { Context } from '../context.ts';
import { authoritiesOf } from '../host.ts';
import { judgedAt, momentOptions } from '../moment.ts';
import { caOption, dryRunOption, isSet, numberOption, pathOf, storeOption, textOption } from '../options.ts';
import type { CommandSpec, OptionValues, Outcome } from '../program.ts';
import { openWorkspaceSession } from '../session.ts';
import { refuse, repositoryIn, trustOf, trustOptions } from '../trust.ts';
import { count, formatBytes, shellWord } from '../ui/format.ts';
import { paintResult, sign } from '../ui/style.ts';

const INFRA_MAX_BYTES = 1 << 20;

export const importRepository: CommandSpec = {
  name: 'import',
  arguments: [['[url]', 'the repository: the folder of timestamp.json, on a server or here (./DIR); not with --infra']],
  summary: 'take over a repository that tuftool or pubsys made',
  description:
    'Copies the repository into the store of this workspace, verified and byte for byte, and learns its roots and the names of its keys: the next release, signature and publication go on with its next versions. It can be stopped anywhere, and run again.',
  options: [
    ...trustOptions,
    { flags: '--infra <file>', description: 'where it is, as Infra.toml of pubsys says' },
    { flags: '--infra-repo <name>', description: 'with --infra: which of its repositories', default: 'default' },
    { flags: '--variant <name>', description: 'its variant (default: the folder before the last one in the URL)' },
    { flags: '--arch <name>', description: 'its architecture (default: the last folder in the URL)' },
    { flags: '--targets-url <url>', description: 'where targets are (default: ../../targets/ from the metadata)' },
    { flags: '--concurrency <n>', description: 'files on their way at the same time', default: '4' },
    storeOption,
    caOption,
    ...momentOptions,
    dryRunOption,
  ],
  examples: [
    'gantry import https://updates.example.com/metal/x86_64 --root 1.root.json',
    'gantry import ./tuf-repo/metadata --targets-url ./tuf-repo/targets --root root.json --variant metal --arch x86_64',
    'gantry import --infra Infra.toml --root roles/default.root.json --variant metal --arch x86_64',
  ],
  async run(context, [url], options) {
    const session = await openWorkspaceSession(context, options);
    const { workspace, store } = session;
    const infra = await infraOf(context, options);
    const place = await placeOf(url, infra, options);
    await refuseUnlisted(place.repository, workspace.config.repositories);
    const source = await sourceOf(context, options, place);
    const { importRepository: take } = await import('../../lib/publish/import.ts');
    const { withWorkspaceLock } = await import('../../lib/workspace/workspace.ts');
    const dryRun = isSet(options, 'dryRun');
    const found = dryRun
      ? await take(workspace, store, source)
      : await withWorkspaceLock(workspace, async () => take(workspace, store, source));
    const { clone, keys, findings, sent } = found;
    return {
      json: {
        ...(dryRun ? { dryRun: true } : {}),
        repository: place.repository,
        roles: clone.roles,
        targets: clone.listed,
        keys,
        findings,
        sent,
        ...(infra?.signingKey === undefined ? {} : { signingKey: infra.signingKey }),
      },
      lines: describe(found, { dryRun, place, infra }),
    };
  },
};

interface Place {
  readonly metadataUrl: string;
  readonly targetsUrl?: string;
  readonly repository: RepositoryName;
}

async function placeOf(url: string | undefined, infra: InfraRepository | undefined, options: OptionValues): Promise<Place> {
  const given = textOption(options, 'targetsUrl');
  if (infra === undefined) {
    if (url === undefined) return refuse('[url]', 'Cannot import: nothing says where the repository is; expected its URL, or --infra FILE');
    return { metadataUrl: url, ...(given === undefined ? {} : { targetsUrl: given }), repository: await repositoryIn(url, options) };
  }
  if (url !== undefined)
    return refuse('--infra', 'Cannot use --infra together with a URL: both say where the repository is; expected one of them');
  const [variant, arch] = [textOption(options, 'variant'), textOption(options, 'arch')];
  if (variant === undefined || arch === undefined) {
    return refuse('--variant', 'Cannot tell which repository is meant: --infra has many; expected --variant and --arch');
  }
  if (infra.metadataBaseUrl === undefined) {
    return refuse(
      '--infra',
      'Cannot tell where the repository is: its metadata_base_url is missing; expected it, or a URL instead of --infra',
    );
  }
  const metadataUrl = new URL(`${variant}/${arch}/`, infra.metadataBaseUrl).href;
  const targetsUrl = given ?? infra.targetsUrl;
  return { metadataUrl, ...(targetsUrl === undefined ? {} : { targetsUrl }), repository: await repositoryIn(metadataUrl, options) };
}

async function refuseUnlisted({ variant, arch }: RepositoryName, repositories: readonly RepositoryName[]): Promise<void> {
  if (repositories.some((one) => one.variant === variant && one.arch === arch)) return;
  const { GantryError, quote } = await import('../../lib/errors.ts');
  const names = repositories.map((one) => `${one.variant}/${one.arch}`).join(', ');
  throw new GantryError(
    'workspace/no-repository',
    `Cannot import ${quote(`${variant}/${arch}`)}: this workspace has ${names}; expected one of them, by --variant and --arch, or a [[repository]] more in gantry.toml`,
    { variant, arch },
  );
}

async function sourceOf(context: Context, options: OptionValues, { metadataUrl, targetsUrl, repository }: Place): Promise<ImportSource> {
  const { findRoots } = await import('../../lib/publish/clone-roots.ts');
  const ca = await authoritiesOf(context, options);
  const source = { metadataUrl, signal: context.signal, ...(ca === undefined ? {} : { ca }) };
  const roots = await findRoots(source, await trustOf(context, options, 'import'));
  let bar: ReturnType<Context['progress']> | undefined;
  return {
    ...source,
    ...(targetsUrl === undefined ? {} : { targetsUrl }),
    root: roots.root,
    earlierRoots: roots.earlier,
    repository,
    mode: isSet(options, 'dryRun') ? 'dry-run' : 'copy',
    now: await judgedAt(context, options),
    concurrency: numberOption(options, 'concurrency', { min: 1, max: 64 }) ?? 4,
    onNotice: (notice) => context.note(notice),
    onProgress(bytes, totalBytes) {
      bar ??= context.progress({ label: 'Copying targets', totalBytes });
      bar.at(bytes);
      if (bytes === totalBytes) bar.done();
    },
  };
}

/** The settings of pubsys, and its root verified against them. */
async function infraOf(context: Context, options: OptionValues): Promise<InfraRepository | undefined> {
  const file = textOption(options, 'infra');
  if (file === undefined) return undefined;
  const { readWholeFile } = await import('../../lib/files/read.ts');
  const { parseInfraFile } = await import('../../lib/workspace/infra-file.ts');
  const path = pathOf(context, file);
  const text = Buffer.from(await readWholeFile(path, { maxBytes: INFRA_MAX_BYTES })).toString('utf8');
  const infra = parseInfraFile(text, path, textOption(options, 'infraRepo') ?? 'default');
  const root = textOption(options, 'root');
  if (root === undefined || infra.rootSha512 === undefined) return infra;
  const { createHash } = await import('node:crypto');
  const found = createHash('sha512')
    .update(await readWholeFile(pathOf(context, root), { maxBytes: INFRA_MAX_BYTES }))
    .digest('hex');
  if (found === infra.rootSha512) return infra;
  return refuse(
    '--root',
    `Cannot trust ${root}: its SHA-512 is ${found.slice(0, 16)}…; expected ${infra.rootSha512.slice(0, 16)}…, as ${file} says`,
  );
}

function describe(
  { clone: { roles, listed, fetchedBytes }, keys, findings, sent }: Import,
  { dryRun, place, infra }: { readonly dryRun: boolean; readonly place: Place; readonly infra: InfraRepository | undefined },
): Outcome['lines'] {
  const { variant, arch } = place.repository;
  const what = `${variant}/${arch} at timestamp ${roles.timestamp.version}, root ${roles.root.version}, with ${count(listed, 'target')}`;
  const known = keys.map(
    ({ name, roles: signs, known: isKnown }) =>
      `  ${name}  signs ${signs.join(', ')}${isKnown ? '' : dryRun ? ', to be named so' : ', named so now'}`,
  );
  if (dryRun) return [`Would take over ${what} (${formatBytes(fetchedBytes)} to fetch). Its keys:`, ...known];
  const key = keys.find(({ roles: signs }) => signs.includes('targets'))?.name ?? 'targets';
  return [
    `${paintResult('green', sign.done)} This workspace goes on with ${what}: ${count(sent, 'object')} new in the store. Its keys:`,
    ...known,
    ...(findings.length === 0
      ? []
      : [`The lint has ${count(findings.length, 'finding')} on what the other tool signed; most go with the next signature: gantry lint`]),
    '',
    `Next: gantry key import ${key} ${infra?.signingKey === undefined ? 'FILE' : shellWord(infra.signingKey)}   (each private key that is here)`,
    '      gantry status',
  ];
}
