/**
 * A whole process that refreshes for the first time and looks one target up, in large repositories: ours against python-tuf and
 * go-tuf, interleaved, each a new process with an empty state over loopback. Promise: at most 1.5 × python-tuf's time.
 *
 * Flat repositories are written as other tools write them: everything in one role, without spaces. go-tuf cannot look into hash bins.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileInto } from '../support/compiled.ts';
import { readerCommand } from '../support/peers.ts';
import { createLargeRepository, targetName } from '../support/large-repository.ts';

const PROMISE = 1.5;
const rounds = process.argv.includes('--short') ? 3 : 9;
const REPOSITORIES = [
  { targets: 10_000, bins: 0 },
  { targets: 100_000, bins: 0 },
  { targets: 10_000, bins: 128 },
  { targets: 100_000, bins: 1024 },
] as const;
const folder = await mkdtemp(join(tmpdir(), 'gantry-bench-look-up-'));

interface Client {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
}

interface Run {
  readonly ms: number;
  readonly peakMiB: number;
}

/** As it is installed: emitted JavaScript. */
async function ours(): Promise<Client> {
  await compileInto(folder);
  const program = join(folder, 'look-up.js');
  await writeFile(
    program,
    `import { parseArgs } from 'node:util';
import { openRepository } from './dist/lib/client/index.js';
const string = { type: 'string' };
const names = ['root', 'metadata-url', 'targets-url', 'out', 'state', 'find'];
const { values } = parseArgs({ options: Object.fromEntries(names.map((name) => [name, string])) });
const client = await openRepository({
  root: values.root, metadataUrl: values['metadata-url'], targetsUrl: values['targets-url'], stateDirectory: values.state,
});
await client.refresh();
const { lengthBytes } = await client.target(values.find);
console.log(JSON.stringify({ length: lengthBytes, peakKiB: process.resourceUsage().maxRSS }));
client.close();
`,
  );
  return { name: 'gantry', command: [process.execPath, program] };
}

async function lookUp({ command: [program, ...args] }: Client, url: string, find: string): Promise<Run> {
  const state = await mkdtemp(join(folder, 'state-'));
  const options = { root: join(folder, '1.root.json'), 'metadata-url': url, 'targets-url': url, out: state, state, find };
  const started = performance.now();
  const child = spawn(program, [...args, ...Object.entries(options).flatMap(([name, value]) => [`--${name}`, value])], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NO_PROXY: '127.0.0.1' },
  });
  let output = '';
  for await (const chunk of child.stdout) output += String(chunk);
  if (child.exitCode === null) await once(child, 'exit');
  const ms = performance.now() - started;
  await rm(state, { recursive: true });
  const { length, peakKiB }: { length: number; peakKiB: number } = JSON.parse(output);
  if (length !== 3) throw new Error(`${program} found something else: ${output}`);
  return { ms, peakMiB: peakKiB / 1024 };
}

const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
let files: ReadonlyMap<string, Uint8Array> = new Map();
const server = createServer((request, response) => {
  const bytes = files.get((request.url ?? '/').slice(1));
  if (bytes === undefined) response.writeHead(404).end();
  else response.writeHead(200, { 'Content-Length': bytes.length }).end(bytes);
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
try {
  const clients: readonly Client[] = [
    await ours(),
    { name: 'python-tuf', command: await readerCommand('python-tuf') },
    { name: 'go-tuf', command: await readerCommand('go-tuf') },
  ];
  // This server listens on a port.
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  for (const { targets, bins } of REPOSITORIES) {
    files = await createLargeRepository(targets, bins);
    await writeFile(join(folder, '1.root.json'), files.get('1.root.json') ?? '');
    const able = clients.filter(({ name }) => bins === 0 || name !== 'go-tuf');
    const runs = new Map<string, Run[]>(able.map(({ name }) => [name, []]));
    for (let round = 0; round < rounds; round += 1) {
      for (const client of able) runs.get(client.name)?.push(await lookUp(client, url, targetName(Math.floor(targets / 2))));
    }
    const time = (name: string): number => median((runs.get(name) ?? []).map(({ ms }) => ms));
    const ratio = time('gantry') / time('python-tuf');
    if (ratio > 2 * PROMISE) process.exitCode = 1;
    const what = `${targets.toLocaleString('en')} ${bins === 0 ? 'flat' : `in ${bins.toLocaleString('en')} bins`}`;
    const each = able.map(
      ({ name }) => `${name} ${time(name).toFixed(0)} ms ${median((runs.get(name) ?? []).map(({ peakMiB }) => peakMiB)).toFixed(0)} MiB`,
    );
    console.log(`look-up ${what.padEnd(22)} ${ratio.toFixed(2)} × python-tuf (promise at most ${PROMISE}); ${each.join(', ')}`);
  }
} finally {
  server.close();
  server.closeAllConnections();
  await rm(folder, { recursive: true });
}
