/**
 * Reads a TUF repository the way a tuf-js user would: refresh, then `downloadTarget` for every target.
 *
 * Prints one JSON line with the versions it came to trust; exits 1 when anything is refused.
 */
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { Updater } from 'tuf-js';

const ROLES = ['root', 'timestamp', 'snapshot', 'targets'] as const;

interface Options {
  readonly root: string;
  readonly metadataUrl: string;
  readonly targetsUrl: string;
  readonly out: string;
  readonly state: string;
}

function parseOptions(): Options {
  const { values } = parseArgs({
    options: {
      root: { type: 'string', default: '' },
      'metadata-url': { type: 'string', default: '' },
      'targets-url': { type: 'string', default: '' },
      out: { type: 'string', default: '' },
      state: { type: 'string', default: '' },
    },
  });
  return {
    root: values.root,
    metadataUrl: values['metadata-url'],
    targetsUrl: values['targets-url'],
    out: values.out,
    state: values.state,
  };
}

async function readSigned(state: string, role: string): Promise<{ version: number; targets?: object }> {
  const envelope: { signed: { version: number; targets?: object } } = JSON.parse(await readFile(join(state, `${role}.json`), 'utf8'));
  return envelope.signed;
}

async function read(options: Options): Promise<object> {
  await copyFile(options.root, join(options.state, 'root.json'));
  const updater = new Updater({
    metadataDir: options.state,
    metadataBaseUrl: options.metadataUrl,
    targetDir: options.out,
    targetBaseUrl: options.targetsUrl,
  });
  await updater.refresh();

  const downloaded = Object.keys((await readSigned(options.state, 'targets')).targets ?? {}).toSorted();
  for (const name of downloaded) {
    const target = await updater.getTargetInfo(name);
    if (target === undefined) {
      throw new Error(`${name} is listed but was not found`);
    }
    const path = join(options.out, ...name.split('/'));
    await mkdir(dirname(path), { recursive: true });
    await updater.downloadTarget(target, path);
  }

  const { version }: { version: string } = createRequire(import.meta.url)('tuf-js/package.json');
  const versions = await Promise.all(ROLES.map(async (role) => [role, (await readSigned(options.state, role)).version] as const));
  return { client: `tuf-js ${version}`, ...Object.fromEntries(versions), downloaded };
}

try {
  console.log(JSON.stringify(await read(parseOptions())));
} catch (error) {
  console.error(error instanceof Error ? `${error.name}: ${error.message}` : error);
  process.exitCode = 1;
}
