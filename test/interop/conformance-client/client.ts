#!/usr/bin/env node
/**
 * The protocol of the public tuf-conformance suite, through our library:
 *
 *     client.ts --metadata-dir DIR init ROOT
 *     client.ts --metadata-dir DIR --metadata-url URL refresh
 *     client.ts --metadata-dir DIR --metadata-url URL --target-name NAME… --target-base-url URL --target-dir DIR download
 *
 * Rules:
 * - exit 0 when it was accepted and 1 when it was refused; why stands on stderr;
 * - DIR holds nothing but role metadata, the exact bytes under unversioned names. Our state directory, and the root that `init`
 *   was given, lie beside it in `DIR.state`, and what is trusted is copied from there, whatever the outcome;
 * - a target that is there with the right digest is not fetched again.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { isGantryError, openRepository, type RepositoryClient, type VerifiedTarget } from '../../../lib/client/index.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'metadata-dir': { type: 'string', default: '' },
    'metadata-url': { type: 'string', default: '' },
    'target-name': { type: 'string', multiple: true, default: [] },
    'target-base-url': { type: 'string' },
    'target-dir': { type: 'string', default: '' },
  },
});
const metadataDir = values['metadata-dir'].replace(/\/+$/u, '');
const ownDir = `${metadataDir}.state`;
const anchor = join(ownDir, 'anchor.json');
const stateDirectory = join(ownDir, 'trusted');

async function init(root: string): Promise<void> {
  await rm(ownDir, { recursive: true, force: true });
  await mkdir(ownDir, { recursive: true });
  await mkdir(metadataDir, { recursive: true });
  await copyFile(root, anchor);
  await copyFile(root, join(metadataDir, 'root.json'));
}

async function withClient(work: (client: RepositoryClient) => Promise<void>): Promise<void> {
  const client = await openRepository({
    root: anchor,
    metadataUrl: values['metadata-url'],
    stateDirectory,
    patienceMs: 0,
    ...(values['target-base-url'] === undefined ? {} : { targetsUrl: values['target-base-url'] }),
  });
  try {
    await client.refresh();
    await work(client);
  } finally {
    for (const notice of client.notices) console.error(notice);
    client.close();
    await showTrusted();
  }
}

/** Role metadata and nothing else. */
async function showTrusted(): Promise<void> {
  for (const folder of [stateDirectory, join(stateDirectory, 'delegated')]) {
    const names = await readdir(folder).catch(() => []);
    const roles = names.filter((name) => name.endsWith('.json') && name !== 'trusted-time.json');
    for (const name of roles) await copyFile(join(folder, name), join(metadataDir, name));
  }
}

async function download(client: RepositoryClient): Promise<void> {
  for (const name of values['target-name']) {
    const target = await client.target(name);
    const file = join(values['target-dir'], encodeURIComponent(name));
    if (!(await isThere(file, target))) await client.download(target, file);
  }
}

async function isThere(file: string, { digest: { algorithm, hex } }: VerifiedTarget): Promise<boolean> {
  const digest = createHash(algorithm);
  return pipeline(createReadStream(file), digest).then(
    () => digest.digest('hex') === hex,
    () => false,
  );
}

const [command, root = ''] = positionals;
const commands: Readonly<Record<string, () => Promise<void>>> = {
  init: async () => init(root),
  refresh: async () => withClient(async () => undefined),
  download: async () => withClient(download),
};
try {
  const run = commands[command ?? ''];
  if (run === undefined) throw new TypeError(`no command ${command}`);
  await run();
} catch (error) {
  console.error(isGantryError(error) ? `${error.code}: ${error.message}` : error);
  process.exitCode = 1;
}
