import { randomInt } from 'node:crypto';
import type { RepositoryClient, VerifiedTarget } from '../../lib/client/index.ts';
import type { Context } from '../context.ts';
import { asHost } from '../host.ts';
import { judgedAt, momentOptions } from '../moment.ts';
import { bundleOptions, hostOptions, isSet, numberOption, pathOf, textOption } from '../options.ts';
import type { CommandSpec, OptionValues } from '../program.ts';
import { count, formatBytes, formatWhen } from '../ui/format.ts';
import { paintResult, sign } from '../ui/style.ts';
import { table } from '../ui/table.ts';

const SEEDS = 2 ** 32;

export const verify: CommandSpec = {
  name: 'verify',
  arguments: [['[url]', 'the repository: the folder of timestamp.json, on a server or here (./DIR)']],
  summary: 'check a repository as a host sees it',
  description:
    'Walks from the root that you trust through every role to the targets; with --targets every target is downloaded and checked, with --sample some of them. Nothing is kept. Of a bundle, the targets that are in it.',
  options: [
    ...hostOptions,
    ...bundleOptions,
    { flags: '--targets', description: 'download and check every target' },
    { flags: '--sample <n>', description: 'download and check this many targets, drawn at random' },
    { flags: '--seed <n>', description: 'with --sample: draw what another run drew; it is told each time' },
    ...momentOptions,
  ],
  examples: [
    'gantry verify http://127.0.0.1:8080/metal/x86_64 --root 1.root.json --targets',
    'gantry verify ./public/metal/x86_64 --root 1.root.json --sample 20',
    'gantry verify --bundle update.tar --root 1.root.json --targets --accept-expired "14 days"',
  ],
  async run(context, [url], options) {
    const draw = drawOf(options);
    const now = await judgedAt(context, options);
    return asHost(context, url, options, async (client) => {
      const roles = client.roles();
      const targets = await client.allTargets({ signal: context.signal });
      const manifest = targets.some(({ path }) => path.memberName() === 'manifest.json')
        ? await client.manifest({ signal: context.signal })
        : undefined;
      const checked = await chooseTargets(context, targets, options, draw);
      const checkedBytes = checked === undefined ? undefined : await checkTargets(context, client, checked);
      const updates = manifest?.updates.map(({ variant, arch, version }) => ({ variant, arch, version })) ?? [];
      return {
        json: {
          roles,
          updates,
          targets: targets.map(({ path, lengthBytes, digest }) => ({
            path: path.memberName(),
            lengthBytes,
            [digest.algorithm]: digest.hex,
          })),
          ...(checkedBytes === undefined ? {} : { checkedTargets: checked?.length, checkedBytes }),
          ...(draw === undefined ? {} : { seed: draw.seed, sample: checked?.map(({ path }) => path.memberName()) }),
          ...(textOption(options, 'bundle') === undefined ? {} : { expired: client.expired() }),
          traffic: client.traffic,
        },
        lines: [
          ...table(
            Object.entries(roles).map(([role, { version, expires }]) => [
              role,
              String(version),
              expires,
              formatWhen(new Date(expires), now),
            ]),
            { head: ['role', 'version', 'expires', ''], right: [1] },
          ),
          '',
          ...(updates.length === 0
            ? ['No release is on offer.']
            : [`On offer: ${updates.map(({ variant, arch, version }) => `${version} (${variant}/${arch})`).join(', ')}`]),
          '',
          ...table(
            targets.map(({ path, lengthBytes }) => [path.memberName(), formatBytes(lengthBytes)]),
            { head: ['target', 'size'], right: [1] },
          ),
          '',
          `${paintResult('green', sign.done)} Verified: metadata${summaryOf(targets, checked, checkedBytes)}.`,
          ...(draw === undefined ? [] : [`The same ones again: --sample ${draw.size} --seed ${draw.seed}`]),
        ],
      };
    });
  },
};

interface Draw {
  readonly size: number;
  readonly seed: number;
}

function drawOf(options: OptionValues): Draw | undefined {
  const size = numberOption(options, 'sample', { min: 1, max: 1_000_000 });
  const seed = numberOption(options, 'seed', { min: 0, max: SEEDS - 1 });
  return size === undefined ? undefined : { size, seed: seed ?? randomInt(SEEDS) };
}

/** Undefined when metadata alone is checked. */
async function chooseTargets(
  context: Context,
  all: readonly VerifiedTarget[],
  options: OptionValues,
  draw: Draw | undefined,
): Promise<readonly VerifiedTarget[] | undefined> {
  if (draw === undefined && !isSet(options, 'targets')) return undefined;
  const bundle = textOption(options, 'bundle');
  const there = bundle === undefined ? all : await targetsIn(pathOf(context, bundle), all);
  if (draw === undefined) return there;
  const { sampleOf } = await import('../../lib/client/sample.ts');
  return sampleOf(there, draw.size, draw.seed);
}

async function targetsIn(bundle: string, all: readonly VerifiedTarget[]): Promise<readonly VerifiedTarget[]> {
  const { entryOf, openBundle } = await import('../../lib/client/bundle.ts');
  const opened = await openBundle(bundle);
  return all.filter((target) => entryOf(opened, target) !== undefined);
}

function summaryOf(all: readonly VerifiedTarget[], checked: readonly VerifiedTarget[] | undefined, bytes: number | undefined): string {
  if (checked === undefined || bytes === undefined) return '; add --targets to check the files too';
  const which = checked.length === all.length ? count(all.length, 'target') : `${checked.length} of ${count(all.length, 'target')}`;
  return ` and ${which}, ${formatBytes(bytes)}`;
}

/** An image is checked compressed and decompressed. */
async function checkTargets(context: Context, client: RepositoryClient, targets: readonly VerifiedTarget[]): Promise<number> {
  const totalBytes = targets.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  const bar = context.progress({ label: `Checking ${count(targets.length, 'target')}`, totalBytes });
  try {
    await client.check(targets, { signal: context.signal, onProgress: (bytes) => bar.at(bytes) });
  } catch (error) {
    bar.fail();
    throw error;
  }
  bar.done();
  return totalBytes;
}
