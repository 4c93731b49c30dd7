import type { DownloadReport } from '../../lib/client/index.ts';
import { GantryError } from '../../lib/errors.ts';
import { asHost } from '../host.ts';
import { bundleOptions, hostOptions, isSet, pathOf, textOption } from '../options.ts';
import type { CommandSpec } from '../program.ts';
import { formatBytes } from '../ui/format.ts';

export const download: CommandSpec = {
  name: 'download',
  arguments: [
    ['<url>', 'the repository: the folder of timestamp.json, on a server or here (./DIR)'],
    ['[target]', 'a name that gantry verify lists; with --bundle it stands alone'],
  ],
  summary: 'download one target, verified',
  description: 'The file appears only when all of it was right; an existing one is replaced then.',
  options: [
    ...hostOptions,
    ...bundleOptions,
    { flags: '-o, --output <file>', description: 'where to (default: the name of the target, here)' },
    { flags: '--decompress', description: 'write the raw image' },
    { flags: '--in-place', description: 'write into a slot or block device that is there' },
  ],
  examples: [
    'gantry download http://127.0.0.1:8080/metal/x86_64 --root 1.root.json manifest.json -o manifest.json',
    'gantry download http://127.0.0.1:8080/metal/x86_64 --root 1.root.json TARGET --decompress -o root.img',
    'gantry download --bundle update.tar --root 1.root.json TARGET',
  ],
  async run(context, args, options) {
    const [name = '', url] = args.toReversed();
    if (url === undefined && textOption(options, 'bundle') === undefined) {
      throw new GantryError('usage/arguments', 'Cannot run gantry download: the argument <target> is missing; expected it behind the URL', {
        command: 'gantry download',
        suggestions: [],
      });
    }
    return asHost(context, url, options, async (client) => {
      const target = await client.target(name, { signal: context.signal });
      const file = pathOf(context, textOption(options, 'output') ?? target.path.fileName());
      let report: DownloadReport;
      const bar = context.progress({ label: `Downloading ${name}`, totalBytes: target.lengthBytes });
      try {
        report = await client.download(target, file, {
          signal: context.signal,
          onProgress: (bytes) => bar.at(bytes),
          form: isSet(options, 'decompress') ? 'image' : 'published',
          write: isSet(options, 'inPlace') ? 'in-place' : 'replace',
        });
      } catch (error) {
        bar.fail();
        throw error;
      }
      bar.done();
      const { algorithm, hex } = target.digest;
      const published = formatBytes(target.lengthBytes);
      const kept = report.keptBytes === 0 ? '' : `; ${formatBytes(report.keptBytes)} were there from an earlier download`;
      return {
        json: { target: name, file, lengthBytes: target.lengthBytes, ...report, [algorithm]: hex },
        lines: [`Verified and wrote ${file} (${published} published, ${algorithm === 'sha256' ? 'SHA-256' : 'SHA-512'} ${hex}${kept}).`],
      };
    });
  },
};
