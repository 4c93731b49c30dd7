import type { RepositoryClient, VerifiedTarget } from '../../lib/client/index.ts';
import type { Context } from '../context.ts';
import { asHost } from '../host.ts';
import { judgedAt, momentOptions } from '../moment.ts';
import { hostOptions, isSet } from '../options.ts';
import type { CommandSpec } from '../program.ts';
import { count, formatBytes, formatWhen } from '../ui/format.ts';
import { paintResult, sign } from '../ui/style.ts';
import { table } from '../ui/table.ts';

export const verify: CommandSpec = {
  name: 'verify',
  arguments: [['<url>', 'the repository: the folder of timestamp.json, on a server or here (./DIR)']],
  summary: 'check a repository as a host sees it',
  description: 'Walks from the root that you trust to the targets; with --targets every target is downloaded and checked. Nothing is kept.',
  options: [...hostOptions, { flags: '--targets', description: 'download and check every target' }, ...momentOptions],
  examples: ['gantry verify http://127.0.0.1:8080/metal/x86_64 --root 1.root.json --targets'],
  async run(context, [url = ''], options) {
    const now = await judgedAt(context, options);
    return asHost(context, url, options, async (client) => {
      const roles = client.roles();
      const targets = await client.allTargets({ signal: context.signal });
      const manifest = targets.some(({ path }) => path.memberName() === 'manifest.json')
        ? await client.manifest({ signal: context.signal })
        : undefined;
      const checkedBytes = isSet(options, 'targets') ? await checkTargets(context, client, targets) : undefined;
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
          ...(checkedBytes === undefined ? {} : { checkedBytes }),
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
          `${paintResult('green', sign.done)} Verified: metadata${checkedBytes === undefined ? '; add --targets to check the files too' : ` and ${count(targets.length, 'target')}, ${formatBytes(checkedBytes)}`}.`,
        ],
      };
    });
  },
};

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
