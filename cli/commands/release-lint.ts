import { repositoriesOptions } from '../options.ts';
import type { CommandSpec } from '../program.ts';
import { readStandings } from '../releases.ts';
import { describeFindings, findingsOutcome } from '../ui/findings.ts';

/** Before anything is signed: what is published, with the draft that waits. */
export const releaseLint: CommandSpec = {
  name: 'lint',
  summary: 'say what would go wrong with the releases, drafts included, before anything is signed',
  description:
    'Looks at updates, images, migrations and waves as they are published and as the draft makes them. gantry lint looks at any repository.',
  options: repositoriesOptions,
  examples: ['gantry release lint', 'gantry release lint --variant all --arch x86_64 --json'],
  async run(context, _, options) {
    const { lintRelease } = await import('../../lib/release/lint.ts');
    const { verityImageBytes } = await import('../../lib/image/verity.ts');
    const standings = await readStandings(context, options);
    const found = standings.map(({ repository, published, offer }) => ({
      repository,
      findings: lintRelease(offer, published.manifest, { now: context.now, treeBytes: verityImageBytes }),
      updates: offer.manifest.updates.length,
    }));
    const findings = found.flatMap((one) => one.findings);
    const updates = found.reduce((sum, one) => sum + one.updates, 0);
    return findingsOutcome(findings, {
      json: { repositories: found },
      lines: found.flatMap(({ repository: { variant, arch }, findings: own }) =>
        own.length === 0 ? [] : [...(found.length > 1 ? [`${variant}/${arch}:`] : []), ...describeFindings(own)],
      ),
      looked: [updates, 'release'],
    });
  },
};
