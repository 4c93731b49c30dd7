import { asHost } from '../host.ts';
import { hostOptions, isSet, pathOf, textOption } from '../options.ts';
import type { CommandSpec } from '../program.ts';
import { formatBytes } from '../ui/format.ts';

export const download: CommandSpec = {
  name: 'download',
  arguments: [
    ['<url>', 'the repository: the folder of timestamp.json'],
    ['<target>', 'a name that gantry verify lists'],
  ],
  summary: 'download one target, verified',
  description: 'The file appears only when all of it was right; an existing one is replaced then.',
  options: [
    ...hostOptions,
    { flags: '-o, --output <file>', description: 'where to (default: the name of the target, here)' },
    { flags: '--decompress', description: 'write the raw image' },
    { flags: '--in-place', description: 'write into a slot or block device that is there' },
  ],
  examples: [
    'gantry download http://127.0.0.1:8080/metal/x86_64 --root 1.root.json manifest.json -o manifest.json',
    'gantry download http://127.0.0.1:8080/metal/x86_64 --root 1.root.json TARGET --decompress -o root.img',
  ],
  async run(context, [url = '', name = ''], options) {
    return asHost(context, url, options, async (client) => {
      const target = await client.target(name, { signal: context.signal });
      const file = pathOf(context, textOption(options, 'output') ?? target.path.fileName());
      const bar = context.progress({ label: `Downloading ${name}`, totalBytes: target.lengthBytes });
      try {
        await client.download(target, file, {
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
      return {
        json: { target: name, file, lengthBytes: target.lengthBytes, [target.digest.algorithm]: target.digest.hex },
        lines: [
          `Verified and wrote ${file} (${formatBytes(target.lengthBytes)} published, ${target.digest.algorithm === 'sha256' ? 'SHA-256' : 'SHA-512'} ${target.digest.hex}).`,
        ],
      };
    });
  },
};
