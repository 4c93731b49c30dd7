import type { BundlePlan, BundleSource } from '../../lib/publish/bundle.ts';
import type { Context } from '../context.ts';
import { asHost, servedFrom } from '../host.ts';
import { bundleOptions, caOption, dryRunOption, isSet, pathOf, repositoryOptions, textOption } from '../options.ts';
import type { CommandSpec, OptionValues, Outcome } from '../program.ts';
import { openWorkspaceSession } from '../session.ts';
import { count, formatBytes, formatWhen, shellWord } from '../ui/format.ts';
import { paintResult, sign } from '../ui/style.ts';
import { table } from '../ui/table.ts';

const ROOT_MAX_BYTES = 512_000;
const rootOption = { flags: '--root <file>', description: 'the root that is trusted: any N.root.json', required: true } as const;

const create: CommandSpec = {
  name: 'create',
  arguments: [['[url]', "the repository: the folder of timestamp.json, on a server or here (default: the workspace's store)"]],
  summary: 'write a release, or a whole repository, into one file for hosts without a network',
  description:
    'Reads the repository as a host does that trusts nothing but --root, the oldest root that hosts may have, and verifies all of it. With --for VERSION the file holds what any older host needs to get there: metadata, manifest, images, frame tables, migrations. Equal publications give equal bytes.',
  options: [
    rootOption,
    { flags: '--for <what>', description: 'a version, or "all"', required: true },
    { flags: '-o, --output <file>', description: 'where to; a file that is there is replaced when the new one is whole', required: true },
    { flags: '--targets-url <url>', description: 'where targets are (default: ../../targets/ from the metadata)' },
    caOption,
    ...repositoryOptions,
    dryRunOption,
  ],
  examples: [
    'gantry bundle create --root 1.root.json --for 1.2.0 -o update.tar',
    'gantry bundle create https://updates.example.com/metal/x86_64 --root 1.root.json --for all -o everything.tar',
  ],
  async run(context, [url], options) {
    const { withBundlePlan } = await import('../../lib/publish/bundle.ts');
    const what = textOption(options, 'for') ?? '';
    const source = await sourceFor(context, url, options);
    return withBundlePlan(source, what === 'all' ? what : { version: what }, async (plan) => write(context, plan, options));
  },
};

async function sourceFor(context: Context, url: string | undefined, options: OptionValues): Promise<BundleSource> {
  const { readWholeFile } = await import('../../lib/files/read.ts');
  const root = await readWholeFile(pathOf(context, textOption(options, 'root') ?? ''), { maxBytes: ROOT_MAX_BYTES });
  const { signal } = context;
  if (url !== undefined) return { ...(await servedFrom(context, url, options)), root, signal };
  const { workspace, store } = await openWorkspaceSession(context, options);
  const { chooseRepository } = await import('../../lib/workspace/workspace.ts');
  const { STORE_URL, storeTransport } = await import('../../lib/publish/store-transport.ts');
  const { variant, arch } = chooseRepository(workspace, { variant: textOption(options, 'variant'), arch: textOption(options, 'arch') });
  return { metadataUrl: new URL(`${variant}/${arch}/`, STORE_URL), transport: storeTransport(store), root, signal };
}

async function write(context: Context, plan: BundlePlan, options: OptionValues): Promise<Outcome> {
  const output = textOption(options, 'output') ?? '';
  const file = pathOf(context, output);
  const files = plan.files.map(({ name, lengthBytes }) => ({ name, lengthBytes }));
  const json = { file, versions: plan.versions, roles: plan.roles, files };
  const what = `${plan.versions.join(', ') || 'no release'}: ${count(files.length, 'file')}, ${formatBytes(plan.lengthBytes)}`;
  const [first = ['timestamp', plan.roles.timestamp] as const] = Object.entries(plan.roles).toSorted(
    ([, a], [, b]) => Date.parse(a.expires) - Date.parse(b.expires),
  );
  const until = `Good until ${first[1].expires}, when ${first[0]} expires; after that only with --accept-expired.`;
  if (isSet(options, 'dryRun')) return { json: { dryRun: true, ...json }, lines: [`Would write ${file} with ${what}.`, until] };
  const { writeBundle } = await import('../../lib/publish/bundle.ts');
  const bar = context.progress({ label: `Writing ${output}`, totalBytes: plan.lengthBytes });
  let written: { readonly lengthBytes: number; readonly sha256: string };
  try {
    written = await writeBundle(plan, file, { signal: context.signal, onProgress: (bytes) => bar.at(bytes) });
  } catch (error) {
    bar.fail();
    throw error;
  }
  bar.done();
  return {
    json: { ...json, ...written },
    lines: [
      `${paintResult('green', sign.done)} Wrote ${file} with ${what}.`,
      `SHA-256 ${written.sha256}`,
      until,
      '',
      `Next: gantry verify --bundle ${shellWord(output)} --root ${shellWord(textOption(options, 'root') ?? '')} --targets`,
    ],
  };
}

const show: CommandSpec = {
  name: 'show',
  arguments: [['<file>', 'a bundle']],
  summary: 'what a bundle holds, verified against the root that you trust',
  options: [
    rootOption,
    ...bundleOptions.slice(1),
    { flags: '--state <dir>', description: 'what this host has trusted: no older bundle is accepted' },
  ],
  examples: ['gantry bundle show update.tar --root 1.root.json'],
  async run(context, [file = ''], options) {
    const { entryOf, openBundle } = await import('../../lib/client/bundle.ts');
    return asHost(context, undefined, { ...options, bundle: file }, async (client) => {
      const { signal } = context;
      const bundle = await openBundle(pathOf(context, file));
      const roles = client.roles();
      const all = await client.allTargets({ signal });
      const targets = all.filter((target) => entryOf(bundle, target) !== undefined);
      const there = new Set(targets.map(({ path }) => path.memberName()));
      const updates = there.has('manifest.json') ? (await client.manifest({ signal })).updates : [];
      const releases = updates.map(({ variant, arch, version, images }) => ({
        variant,
        arch,
        version,
        complete: [images.boot, images.root, images.hash].every((name) => there.has(name)),
      }));
      const whole = releases.filter(({ complete }) => complete).map(({ version, variant, arch }) => `${version} (${variant}/${arch})`);
      return {
        json: {
          file: pathOf(context, file),
          roles,
          releases,
          targets: targets.map(({ path, lengthBytes }) => ({ path: path.memberName(), lengthBytes })),
          missingTargets: all.length - targets.length,
          expired: client.expired(),
        },
        lines: [
          ...table(
            Object.entries(roles).map(([role, { version, expires }]) => [
              role,
              String(version),
              expires,
              formatWhen(new Date(expires), context.now),
            ]),
            { head: ['role', 'version', 'expires', ''], right: [1] },
          ),
          '',
          whole.length === 0 ? 'No release is in it.' : `In it: ${whole.join(', ')}`,
          '',
          ...table(
            targets.map(({ path, lengthBytes }) => [path.memberName(), formatBytes(lengthBytes)]),
            { head: ['target', 'size'], right: [1] },
          ),
          '',
          `${paintResult('green', sign.done)} Metadata verified; to check the files too: gantry verify --bundle ${shellWord(file)} --root ${shellWord(textOption(options, 'root') ?? '')} --targets`,
        ],
      };
    });
  },
};

export const bundle: CommandSpec = {
  name: 'bundle',
  summary: 'one file for hosts without a network',
  subcommands: [create, show],
};
