/**
 * Downloads over loopback, from nginx, each by a process of its own with an empty state, in turn; medians are compared.
 *
 * - a target of random bytes to a file: ours against every other TUF client and against `curl -o FILE && openssl dgst -sha256 FILE`.
 *   Ours syncs the file; the others do not.
 * - a framed root image, decompressed to a file: ours against `curl | tee >(openssl dgst -sha256) | zstd -d | dd conv=fdatasync`.
 *
 *   npm run bench            1 GiB and 700 MiB, 5 rounds
 *   npm run bench -- --short 512 MiB each, 3 rounds, and tough's library for tuftool, which takes long to build; fails when a speed falls
 *                            below half of its promise, or memory exceeds its promise
 */
import { spawn } from 'node:child_process';
import { createHash, randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openStableFile } from '../../lib/files/read.ts';
import { encodeFrameTable, type Frame } from '../../lib/image/frame-table.ts';
import { measuring } from '../../lib/image/measure.ts';
import { compressFrames } from '../../lib/image/zstd.ts';
import { imageCustom } from '../../lib/release/custom.ts';
import { parseSha256Hex, sha256Hex } from '../../lib/tuf/hash.ts';
import type { TargetFile } from '../../lib/tuf/types.ts';
import { compileInto } from '../support/compiled.ts';
import { readerCommand, tuftool, type PeerName } from '../support/peers.ts';
import { makeRootImage } from '../support/root-image.ts';
import { freePort } from '../support/s3-server.ts';
import { createSimulator, METADATA, snapshotRole, targetsRole, timestampRole } from '../support/simulator.ts';

const MIB = 1 << 20;
const short = process.argv.includes('--short');
const rounds = short ? 3 : 5;
// Starting Node takes a part of a second; in much smaller files little else would be measured.
const plainBytes = (short ? 512 : 1024) * MIB;
const imageBytes = (short ? 512 : 700) * MIB;
const SPEED_PROMISE = 0.9;
const PLAIN = 'plain.bin';
const FRAMED = 'os-root.ext4.zst';
const folder = await mkdtemp(join(tmpdir(), 'gantry-bench-download-'));
const site = join(folder, 'site');

interface Contender {
  readonly name: string;
  /** @param out a folder of its own, empty but for `state` */
  readonly command: (url: string, out: string) => readonly [string, ...string[]];
}

interface Run {
  readonly ms: number;
  readonly peakBytes: number;
}

/** A repository of one target, and what belongs to it; its bytes are on the disk already. */
async function publish(name: string, targets: Readonly<Record<string, TargetFile>>): Promise<void> {
  const simulator = await createSimulator();
  Object.assign(simulator.versions, { targets: 1, snapshot: 1, timestamp: 1 });
  const { signers } = simulator;
  const role = await simulator.put('1.targets.json', { ...targetsRole(simulator), targets }, [signers.targets]);
  const snapshot = await simulator.put('1.snapshot.json', snapshotRole(simulator, role), [signers.online]);
  await simulator.put('timestamp.json', timestampRole(simulator, snapshot), [signers.online]);
  for (const [path, bytes] of simulator.files) {
    const file = join(site, path.replace(METADATA, `${name}/`));
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, bytes);
  }
}

function published(sha256: string, name: string): string {
  return join(site, 'targets', `${sha256}.${name}`);
}

/** @returns where it is, below the server's root */
async function publishPlain(): Promise<string> {
  const block = Buffer.alloc(MIB);
  const digest = createHash('sha256');
  const temporary = join(site, 'targets', PLAIN);
  const file = await open(temporary, 'w');
  for (let at = 0; at < plainBytes; at += block.length) {
    randomFillSync(block);
    digest.update(block);
    await file.write(block);
  }
  await file.close();
  const sha256 = digest.digest('hex');
  await run(['mv', temporary, published(sha256, PLAIN)]);
  await publish('plain', { [PLAIN]: { length: plainBytes, hashes: { sha256: parseSha256Hex(sha256) } } });
  return relative(site, published(sha256, PLAIN));
}

/** @returns where it is, below the server's root */
async function publishFramed(): Promise<string> {
  const image = join(folder, 'image');
  await makeRootImage(image, join(folder, 'content'), imageBytes);
  const source = await openStableFile(image);
  const raw = measuring(source.read('shared'));
  const frames: Frame[] = [];
  const temporary = join(site, 'targets', FRAMED);
  const file = await open(temporary, 'w');
  const compressed = measuring(compressFrames(raw.stream, { level: 3, onFrame: (frame) => frames.push(frame) }));
  for await (const frame of compressed.stream) await file.write(frame);
  await file.close();
  await source.close();
  const { lengthBytes, sha256 } = compressed.result();
  await run(['mv', temporary, published(sha256, FRAMED)]);
  const table = encodeFrameTable({ raw: raw.result(), frames });
  await writeFile(published(sha256Hex(table), `${FRAMED}.frames`), table);
  const { lengthBytes: rawLength, sha256: rawSha256 } = raw.result();
  const measured = { lengthBytes: rawLength, sha256: parseSha256Hex(rawSha256) };
  await publish('framed', {
    [FRAMED]: {
      length: lengthBytes,
      hashes: { sha256: parseSha256Hex(sha256) },
      custom: imageCustom({ format: 'zstd-frames', frames: `${FRAMED}.frames`, raw: measured }),
    },
    [`${FRAMED}.frames`]: { length: table.length, hashes: { sha256: sha256Hex(table) } },
  });
  return relative(site, published(sha256, FRAMED));
}

async function startNginx(port: number): Promise<() => Promise<void>> {
  const config = join(folder, 'nginx.conf');
  const server = `server { listen 127.0.0.1:${port}; root ${site}; sendfile on; tcp_nopush on; }`;
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((what) => `${what}_temp_path ${folder}/nginx;`).join(' ');
  await writeFile(
    config,
    `daemon off; worker_processes 1; error_log ${folder}/nginx.log; pid ${folder}/nginx.pid; user root;
events { worker_connections 64; } http { access_log off; ${temporary} ${server} }`,
  );
  const nginx = spawn('nginx', ['-e', join(folder, 'nginx.log'), '-c', config], { stdio: 'ignore' });
  for (let tries = 0; tries < 100; tries += 1) {
    const isUp = await fetch(`http://127.0.0.1:${port}/plain/timestamp.json`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isUp) break;
    await sleep(50);
  }
  return async () => {
    nginx.kill('SIGTERM');
    if (nginx.exitCode === null) await once(nginx, 'exit');
  };
}

/** Runs it to its end, and looks now and then how much memory it has had. */
async function run([program, ...args]: readonly [string, ...string[]]): Promise<Run> {
  const started = performance.now();
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, NO_PROXY: '127.0.0.1' } });
  const ended = once(child, 'exit');
  let peakBytes = 0;
  const look = setInterval(() => {
    void peakOf(child.pid).then((bytes) => (peakBytes = Math.max(peakBytes, bytes)));
  }, 20);
  const [code] = await ended;
  const ms = performance.now() - started;
  clearInterval(look);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with code ${String(code)}`);
  return { ms, peakBytes };
}

/** 0 when it is gone. */
async function peakOf(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/^VmHWM:\s+(\d+) kB/mu.exec(status)?.[1] ?? 0) * 1024;
}

/** As it is installed. */
async function ours(target: string, form: 'published' | 'image'): Promise<Contender> {
  const program = join(folder, 'download.js');
  await writeFile(
    program,
    `import { openRepository } from './dist/lib/client/index.js';
const [root, metadataUrl, targetsUrl, stateDirectory, name, file, form] = process.argv.slice(2);
const client = await openRepository({ root, metadataUrl, targetsUrl, stateDirectory });
await client.refresh();
await client.download(await client.target(name), file, { form });
client.close();
`,
  );
  return {
    name: 'gantry',
    command: (url, out) => [
      process.execPath,
      program,
      join(site, form === 'image' ? 'framed' : 'plain', '1.root.json'),
      url,
      new URL('../targets/', url).href,
      join(out, 'state'),
      target,
      join(out, 'file'),
      form,
    ],
  };
}

async function peer(name: PeerName): Promise<Contender> {
  const [program, ...first] = await readerCommand(name);
  return {
    name,
    command: (url, out) => {
      const root = join(site, 'plain', '1.root.json');
      const options = { root, 'metadata-url': url, 'targets-url': new URL('../targets/', url).href, out, state: join(out, 'state') };
      return [program, ...first, ...Object.entries(options).flatMap(([option, value]) => [`--${option}`, value])];
    },
  };
}

async function tuftoolDownload(): Promise<Contender> {
  const program = await tuftool();
  return {
    name: 'tuftool',
    command: (url, out) => {
      const root = join(site, 'plain', '1.root.json');
      return [program, 'download', '-r', root, '-m', url, '-t', new URL('../targets/', url).href, '-n', PLAIN, join(out, 'targets')];
    },
  };
}

function shell(name: string, script: (url: string, out: string) => string): Contender {
  return { name, command: (url, out) => ['bash', '-o', 'pipefail', '-c', script(url, out)] };
}

const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;

async function compete(url: string, contenders: readonly Contender[]): Promise<ReadonlyMap<string, Run>> {
  const runs = new Map<string, Run[]>(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const { name, command } of contenders) {
      const out = await mkdtemp(join(folder, 'out-'));
      await mkdir(join(out, 'state'));
      runs.get(name)?.push(await run(command(url, out)));
      await rm(out, { recursive: true });
    }
  }
  return new Map(
    [...runs].map(([name, each]) => [
      name,
      { ms: median(each.map(({ ms }) => ms)), peakBytes: Math.max(...each.map(({ peakBytes }) => peakBytes)) },
    ]),
  );
}

interface Promised {
  readonly what: string;
  readonly bytes: number;
  readonly memoryBytes: number;
  /** What each of the others is worth. */
  readonly speed: (name: string) => number;
}

let broken = 0;

function report(results: ReadonlyMap<string, Run>, { what, bytes, memoryBytes, speed }: Promised): void {
  const mine = results.get('gantry') ?? { ms: Number.NaN, peakBytes: Number.NaN };
  const rate = (ms: number): string => `${(bytes / 1000 / ms).toFixed(0)} MB/s`;
  const isHeavy = mine.peakBytes > memoryBytes;
  if (isHeavy) broken += 1;
  const memory = `peak memory ${(mine.peakBytes / 1e6).toFixed(0)} MB (promise ${memoryBytes / 1e6} MB)${isHeavy ? '  TOO MUCH' : ''}`;
  console.log(`${what.padEnd(22)} ${rate(mine.ms)}, ${memory}`);
  for (const [name, { ms, peakBytes }] of results) {
    if (name === 'gantry') continue;
    const promise = speed(name);
    const ratio = ms / mine.ms;
    const isSlow = ratio < promise / 2;
    if (isSlow) broken += 1;
    const theirs = `${rate(ms)}${peakBytes > 0 ? `, ${(peakBytes / 1e6).toFixed(0)} MB` : ''}`;
    console.log(`  ${ratio.toFixed(2)} × ${name} (promise ${promise}), which has ${theirs}${isSlow ? '  TOO SLOW' : ''}`);
  }
}

async function comparePlain(base: string, path: string): Promise<void> {
  const curl = shell(
    'curl and openssl',
    (_, out) => `curl -sf -o ${out}/file ${base}${path} && openssl dgst -sha256 ${out}/file >${out}/digest`,
  );
  const contenders = [
    await ours(PLAIN, 'published'),
    curl,
    short ? await peer('tough 0.24') : await tuftoolDownload(),
    await peer('python-tuf'),
    await peer('go-tuf'),
    await peer('tuf-js'),
  ];
  const results = await compete(`${base}plain/`, contenders);
  report(results, {
    what: `download of ${plainBytes / MIB} MiB`,
    bytes: plainBytes,
    memoryBytes: 120e6,
    speed: (other) => (other === curl.name ? SPEED_PROMISE : 1),
  });
}

async function compareFramed(base: string, path: string): Promise<void> {
  const pipe = shell(
    'curl | openssl | zstd | dd',
    (_, out) =>
      `curl -sf ${base}${path} | tee >(openssl dgst -sha256 >${out}/digest) | zstd -d -q -c` +
      ` | dd of=${out}/file bs=1M iflag=fullblock conv=fdatasync status=none`,
  );
  const results = await compete(`${base}framed/`, [await ours(FRAMED, 'image'), pipe]);
  report(results, { what: `image of ${imageBytes / MIB} MiB`, bytes: imageBytes, memoryBytes: 200e6, speed: () => SPEED_PROMISE });
}

try {
  await mkdir(join(site, 'targets'), { recursive: true });
  const plain = await publishPlain();
  const framed = await publishFramed();
  await compileInto(folder);
  const port = await freePort();
  const stop = await startNginx(port);
  try {
    await comparePlain(`http://127.0.0.1:${port}/`, plain);
    await compareFramed(`http://127.0.0.1:${port}/`, framed);
  } finally {
    await stop();
  }
  process.exitCode = broken === 0 ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}
