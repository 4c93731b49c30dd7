/**
 * Real S3 servers of two lineages, one of its own for whoever asks.
 *
 * Rules:
 * - a server comes from the first of these that is there: an endpoint given by `GANTRY_TEST_VERSITYGW_ENDPOINT` or
 *   `GANTRY_TEST_MINIO_ENDPOINT` (`http://KEY:SECRET@HOST:PORT`, region from `AWS_REGION` or `us-east-1`), a binary given by
 *   `GANTRY_TEST_VERSITYGW_BINARY` or `GANTRY_TEST_MINIO_BINARY`, a build with Go (`go-tools.ts`);
 * - a server dies with the test that started it, however that one dies, and its objects with it;
 * - without Go a test is skipped by name, except in CI (`CI=true`), where it fails.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { goSkipReason, goTool } from './go-tools.ts';

const START_TIMEOUT_MS = 60_000;
const POLL_MS = 20;
/** Another process may take a free port before the server does. */
const START_TRIES = 3;
const OWN_CREDENTIALS: S3Credentials = { accessKeyId: 'gantry-test', secretAccessKey: 'gantry-test-secret' };

export type S3ServerKind = 'versitygw' | 'minio';
export const S3_SERVER_KINDS: readonly S3ServerKind[] = ['versitygw', 'minio'];

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface S3Server {
  readonly endpoint: string;
  readonly region: string;
  readonly credentials: S3Credentials;
  /** Where its objects and its log are; absent for a server that somebody else started. */
  readonly directory: string | undefined;
  /** The SDK, set up for this server: for what a test wants to know besides the store. */
  readonly client: S3Client;
  /** Makes an empty bucket. @returns its name, which begins with this one */
  bucket(name: string): Promise<string>;
  stop(): Promise<void>;
}

interface Recipe {
  readonly package: string;
  readonly healthPath: string;
  args(directory: string, address: string): readonly string[];
  env(directory: string, credentials: S3Credentials): Readonly<Record<string, string>>;
}

const RECIPES: Readonly<Record<S3ServerKind, Recipe>> = {
  versitygw: {
    package: 'github.com/versity/versitygw/cmd/versitygw',
    healthPath: '/health',
    // Without --iam-dir an unknown key is answered with 404.
    args: (directory, address) => [
      `--port=${address}`,
      `--iam-dir=${join(directory, 'accounts')}`,
      '--health=/health',
      '--quiet',
      'posix',
      join(directory, 'objects'),
    ],
    env: (_directory, { accessKeyId, secretAccessKey }) => ({ ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: secretAccessKey }),
  },
  minio: {
    package: 'github.com/minio/minio',
    healthPath: '/minio/health/live',
    args: (directory, address) => [
      'server',
      `--address=${address}`,
      `--certs-dir=${join(directory, 'accounts')}`,
      '--quiet',
      join(directory, 'objects'),
    ],
    env: (directory, { accessKeyId, secretAccessKey }) => ({
      // It refuses the disk of the system otherwise.
      CI: 'true',
      HOME: directory,
      MINIO_BROWSER: 'off',
      // It takes any region otherwise.
      MINIO_SITE_REGION: 'us-east-1',
      MINIO_UPDATE: 'off',
      MINIO_ROOT_USER: accessKeyId,
      MINIO_ROOT_PASSWORD: secretAccessKey,
    }),
  },
};

/** For the `skip` option of a test: why this server cannot be had here, or false when it can. Always false in CI. */
export async function skipReason(kind: S3ServerKind): Promise<string | false> {
  if (process.env['CI'] === 'true' || given(kind, 'ENDPOINT') !== undefined || given(kind, 'BINARY') !== undefined) return false;
  return goSkipReason();
}

/** @throws Error when it cannot be built or does not come up */
export async function startS3Server(kind: S3ServerKind): Promise<S3Server> {
  const endpoint = given(kind, 'ENDPOINT');
  if (endpoint !== undefined) return foreignServer(endpoint);
  const binary = given(kind, 'BINARY') ?? (await goTool(kind, RECIPES[kind].package));
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await launch(kind, binary);
    } catch (error) {
      if (attempt === START_TRIES) throw error;
    }
  }
}

function given(kind: S3ServerKind, what: 'ENDPOINT' | 'BINARY'): string | undefined {
  const value = process.env[`GANTRY_TEST_${kind.toUpperCase()}_${what}`];
  return value === '' ? undefined : value;
}

function foreignServer(text: string): S3Server {
  const { origin, username, password } = new URL(text);
  const credentials = { accessKeyId: decodeURIComponent(username), secretAccessKey: decodeURIComponent(password) };
  const region = process.env['AWS_REGION'] || 'us-east-1';
  const connection = connect(origin, region, credentials);
  return { ...connection, directory: undefined, stop: async () => connection.client.destroy() };
}

function connect(endpoint: string, region: string, credentials: S3Credentials): Omit<S3Server, 'directory' | 'stop'> {
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  return {
    endpoint,
    region,
    credentials,
    client,
    async bucket(name) {
      // A server that others use as well keeps the buckets of earlier runs.
      const fresh = `${name}-${randomUUID().slice(0, 8)}`;
      await client.send(new CreateBucketCommand({ Bucket: fresh }));
      return fresh;
    },
  };
}

async function launch(kind: S3ServerKind, binary: string): Promise<S3Server> {
  const recipe = RECIPES[kind];
  const directory = await mkdtemp(join(tmpdir(), `gantry-test-${kind}-`));
  await mkdir(join(directory, 'objects'));
  await mkdir(join(directory, 'accounts'));
  const port = await freePort();
  const log = await open(join(directory, 'log'), 'w');
  const child = spawn(binary, recipe.args(directory, `127.0.0.1:${port}`), {
    env: { PATH: process.env['PATH'], ...recipe.env(directory, OWN_CREDENTIALS) },
    stdio: ['ignore', log.fd, log.fd],
  });
  await once(child, 'spawn').catch(async (error: unknown) => {
    await rm(directory, { recursive: true, force: true });
    throw error;
  });
  await log.close();
  child.unref();
  const watchdog = watchServer(child, directory);
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await untilGone(child);
    await watchdog.dismiss();
    await rm(directory, { recursive: true, force: true });
  };
  const endpoint = `http://127.0.0.1:${port}`;
  try {
    await untilHealthy(kind, child, endpoint + recipe.healthPath, join(directory, 'log'));
  } catch (error) {
    await stop();
    throw error;
  }
  const connection = connect(endpoint, 'us-east-1', OWN_CREDENTIALS);
  return {
    ...connection,
    directory,
    async stop() {
      connection.client.destroy();
      await stop();
    },
  };
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

async function untilGone(child: ChildProcess): Promise<void> {
  child.ref();
  if (isRunning(child)) await once(child, 'exit');
}

/**
 * Kills the server and removes its folder when this process is gone, even without a chance to say so: the kernel closes the
 * pipe that the watchdog reads.
 */
export function watchServer(server: ChildProcess, directory: string): { dismiss(): Promise<void> } {
  // A server that is just being killed may still write.
  const script = 'read -r dismissed && exit; kill -KILL "$1"; until rm -rf -- "$2"; do sleep 0.1; done';
  const watchdog = spawn('sh', ['-c', script, 'sh', String(server.pid), directory], {
    stdio: ['pipe', 'ignore', 'ignore'],
    // Whoever ends a whole process group, as Ctrl-C and timeout(1) do, does not end the watchdog.
    detached: true,
  });
  watchdog.unref();
  // Our end of the pipe must not keep this process alive.
  if ('unref' in watchdog.stdin && typeof watchdog.stdin.unref === 'function') watchdog.stdin.unref();
  return {
    async dismiss() {
      watchdog.stdin.end('dismissed\n');
      await untilGone(watchdog);
    },
  };
}

async function untilHealthy(kind: S3ServerKind, child: ChildProcess, url: string, log: string): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (isRunning(child) && performance.now() < deadline) {
    const answer = await fetch(url).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.ok === true) return;
    await delay(POLL_MS);
  }
  const state = isRunning(child) ? `no health at ${url}` : `it exited with ${child.exitCode ?? child.signalCode}`;
  throw new Error(`Cannot start ${kind}: ${state}; its log: ${(await readFile(log, 'utf8')).slice(-2000)}`);
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
