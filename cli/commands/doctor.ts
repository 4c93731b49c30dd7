import { isGantryError } from '../../lib/errors.ts';
import type { Context } from '../context.ts';
import { authoritiesOf } from '../host.ts';
import { caOption, numberOption, pathOf, textOption } from '../options.ts';
import type { CommandSpec, OptionValues } from '../program.ts';
import { describeFindings, findingsOutcome } from '../ui/findings.ts';

const MAX_PROBES = 1000;

export const doctor: CommandSpec = {
  name: 'doctor',
  arguments: [['<url>', 'the repository: the folder of timestamp.json']],
  summary: 'say what hosts and caches would stumble over on a live server',
  description:
    'Asks the server as hosts do: for what is there, for what is not, in parts, with query strings, again and again. It only reads, and it does not decide trust: see gantry verify.',
  options: [
    { flags: '--targets-url <url>', description: 'where targets are (default: ../../targets/ from the metadata)' },
    { flags: '--probes <n>', description: 'how often timestamp.json is asked for, each time on a new connection', default: '5' },
    caOption,
    { flags: '--max-timestamp-age <offset>', description: 'how old a cache may let timestamp.json become', default: '1 minute' },
  ],
  examples: [
    'gantry doctor https://updates.example.com/metal/x86_64',
    'gantry doctor https://updates.example.com/metal/x86_64 --probes 50',
  ],
  async run(context, [url = ''], options) {
    const { parseOffset } = await import('../../lib/release/duration.ts');
    const { examineRepository } = await import('../../lib/publish/doctor/doctor.ts');
    const targetsUrl = textOption(options, 'targetsUrl');
    const ca = await authoritiesOf(context, options);
    const { findings, ...seen } = await examineRepository(url, {
      ...(targetsUrl === undefined ? {} : { targetsUrl }),
      ...(ca === undefined ? {} : { ca }),
      probes: numberOption(options, 'probes', { min: 1, max: MAX_PROBES }) ?? 1,
      maxTimestampAgeSeconds: parseOffset(textOption(options, 'maxTimestampAge') ?? ''),
      likely: await repositoriesHere(context, options),
      signal: context.signal,
      onStep: (step) => context.note(`${step}.`),
    });
    return findingsOutcome(findings, {
      json: { ...seen, findings },
      lines: describeFindings(findings),
      looked: [seen.requests, 'request'],
    });
  },
};

/** What the workspace that we stand in, if we do, calls its repositories. */
async function repositoriesHere(context: Context, options: OptionValues): Promise<readonly string[]> {
  const { openWorkspace } = await import('../../lib/workspace/workspace.ts');
  try {
    const { config } = await openWorkspace(pathOf(context, textOption(options, 'workspace') ?? '.'));
    return config.repositories.map(({ variant, arch }) => `${variant}/${arch}`);
  } catch (error) {
    // A server can be examined from anywhere.
    if (isGantryError(error)) return [];
    throw error;
  }
}
