import type { AtomicWriter } from '../../lib/files/atomic.ts';
import { GantryError, quote } from '../../lib/errors.ts';
import type { Context } from '../context.ts';
import { isSet, pathOf, repositoryOptions, textOption } from '../options.ts';
import type { CommandSpec, OptionSpec, OptionValues, Outcome } from '../program.ts';
import { fleetFrom, subjectFrom, usage, type Fleet, type Subject } from '../simulation.ts';
import type { Comparison } from '../ui/simulation.ts';
import { sign } from '../ui/style.ts';

const scheduleOptions: readonly OptionSpec[] = [
  {
    flags: '--policy <name>',
    completes: 'policies',
    description: 'a wave policy instead of the waves of a release: policies/waves/NAME.toml, or a path',
  },
  { flags: '--start <time>', description: 'when the policy starts: RFC 3339, or from now, such as "in 2 hours" (default: now)' },
  { flags: '--smooth', description: 'publish the policy as the narrow waves that gantry wave set writes (the default)' },
  { flags: '--exact', description: 'publish the policy as the few waves that pubsys writes' },
];

const fleetOptions: readonly OptionSpec[] = [
  { flags: '--hosts <n>', description: 'size of the fleet, up to 100M; 10k and 2M are understood', default: '10000' },
  { flags: '--poll <offset>', description: 'how often a host looks for updates', default: '2 hours' },
  {
    flags: '--reboot-window <window>',
    description:
      'when hosts may reboot, in UTC, such as "22:00-04:00" or "sat,sun 01:00-05:00"; may be given several times (default: always)',
    repeat: true,
  },
  { flags: '--download-size <bytes>', description: 'what one host downloads, such as 240MB (default: the images of the release)' },
  { flags: '--failures <percent>', description: 'how many of the hosts that reboot fail then' },
  { flags: '--abort-after <n>', description: 'abort the rollout when so many hosts have failed' },
  { flags: '--reaction <offset>', description: 'from that failure until no host finds the update any more', default: '30 minutes' },
  { flags: '--rng-seed <n>', description: 'the same number gives the same fleet', default: '1' },
];

const fileOptions: readonly OptionSpec[] = [
  { flags: '--csv <file>', description: 'write the curves as CSV' },
  { flags: '--plot <file>', description: 'write a picture: .svg or .png' },
  { flags: '--force', description: 'replace these files where they are there already' },
];

export const simulate: CommandSpec = {
  name: 'simulate',
  arguments: [['[version]', 'the release, published or drafted (default: the newest one)']],
  completes: 'versions',
  summary: 'show how a fleet would take a release or a wave policy',
  description:
    'Plays a rollout through for many hosts, twice: as the schedule was meant, and as stock hosts compute what is published. A host is offered the update when its turn comes, downloads it at its next poll, and runs it after its next reboot window.',
  options: [...scheduleOptions, ...fleetOptions, ...fileOptions, ...repositoryOptions],
  examples: [
    'gantry wave simulate 1.2.0',
    'gantry wave simulate --policy default-waves --exact --hosts 1M --download-size 240MB --plot fleet.svg',
    'gantry wave simulate --policy slow-roll --failures 2 --abort-after 50 --reboot-window "22:00-04:00" --json',
  ],
  async run(context, [version], options) {
    const plot = plotFileFrom(options);
    const overwrite = isSet(options, 'force') ? 'replace' : 'refuse';
    for (const name of ['csv', 'plot']) if (overwrite === 'refuse') await refuseExisting(context, options, name);
    const fleet = await fleetFrom(options);
    const subject = await subjectFrom(context, options, version);
    const { createAtomicWriter } = await import('../../lib/files/atomic.ts');
    const writerOf = async (name: string): Promise<AtomicWriter | undefined> => {
      const file = textOption(options, name);
      return file === undefined ? undefined : createAtomicWriter(pathOf(context, file), { overwrite });
    };
    // Opened now: whoever names a folder that is not there should not have to wait for that.
    await using csvFile = await writerOf('csv');
    await using plotFile = await writerOf('plot');
    const comparison = await compare(context, subject, fleet);
    const picture = plot === undefined ? undefined : await pictureOf(comparison, plot);
    if (csvFile !== undefined) {
      const { simulationCsv } = await import('../ui/simulation.ts');
      await csvFile.write(Buffer.from(simulationCsv(comparison)));
      await csvFile.commit();
    }
    if (picture !== undefined) await plotFile?.write(picture);
    await plotFile?.commit();
    const files = ['csv', 'plot'].flatMap((name) => textOption(options, name) ?? []);
    return await outcomeOf(comparison, subject, fleet, files);
  },
};

interface PlotFile {
  readonly path: string;
  readonly format: 'svg' | 'png';
}

/** @throws GantryError `usage/option` */
function plotFileFrom(options: OptionValues): PlotFile | undefined {
  const path = textOption(options, 'plot');
  if (path === undefined) return undefined;
  const format = (['svg', 'png'] as const).find((one) => path.toLowerCase().endsWith(`.${one}`));
  if (format === undefined) throw usage('--plot', `${quote(path)}: expected a file that ends with .svg or .png`);
  if (path === textOption(options, 'csv')) throw usage('--plot', `${quote(path)}: expected another file than for --csv`);
  return { path, format };
}

/** Before seconds of simulation; a slip such as `--csv gantry.toml` must not cost a file. @throws GantryError `files/exists` */
async function refuseExisting(context: Context, options: OptionValues, name: string): Promise<void> {
  const file = textOption(options, name);
  if (file === undefined) return;
  const { stat } = await import('node:fs/promises');
  const found = await stat(pathOf(context, file)).catch(() => undefined);
  if (found?.isFile() !== true) return;
  const path = pathOf(context, file);
  throw new GantryError('files/exists', `Cannot write --${name} ${quote(file)}: it is there already; expected a new name, or --force`, {
    path,
  });
}

async function compare(context: Context, subject: Subject, fleet: Fleet): Promise<Comparison> {
  const { simulateRollout } = await import('../../lib/release/simulate.ts');
  const { title, since, from, holdAt, imageBytes } = subject;
  const downloadBytes = fleet.downloadBytes ?? imageBytes;
  const options = {
    ...fleet,
    from,
    ...(downloadBytes === undefined ? {} : { downloadBytes }),
    ...(holdAt === undefined ? {} : { holdAt }),
  };
  const intended = simulateRollout(subject.intended, 'relative', options);
  // A large fleet takes seconds: here a Ctrl-C gets through.
  await new Promise((resolve) => setImmediate(resolve));
  context.signal.throwIfAborted();
  const stock = simulateRollout(subject.stock, 'stock', options);
  return {
    title,
    since,
    intended,
    stock,
    ...(downloadBytes === undefined ? {} : { downloadBytes }),
    ...(fleet.failures === undefined ? {} : { failures: fleet.failures }),
  };
}

async function pictureOf(comparison: Comparison, { path, format }: PlotFile): Promise<Uint8Array> {
  const { simulationPlot } = await import('../ui/simulation.ts');
  const { plotPng, plotSvg } = await import('../ui/plot.ts');
  const options = simulationPlot(comparison);
  return format === 'png' ? plotPng(options, path) : Buffer.from(await plotSvg(options));
}

async function outcomeOf(comparison: Comparison, { about }: Subject, fleet: Fleet, files: readonly string[]): Promise<Outcome> {
  const { simulationJson, simulationLines } = await import('../ui/simulation.ts');
  const { columns, rows }: { readonly columns?: number; readonly rows?: number } = process.stdout;
  return {
    json: { ...about, ...fleet, ...simulationJson(comparison), files },
    lines: [
      // Where bars are drawn with ASCII, so are curves.
      ...simulationLines(comparison, { columns: columns ?? 80, rows: rows ?? 24, signs: sign.cut === '…' ? 'unicode' : 'ascii' }),
      ...(files.length === 0 ? [] : [`Written: ${files.join(', ')}`]),
    ],
  };
}
