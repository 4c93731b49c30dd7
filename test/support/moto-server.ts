/**
 * moto's KMS and SSM, on a free port.
 *
 * It knows keys, aliases and parameters as AWS does; a disabled key signs there. Digests it hashes again before it signs them, unlike AWS, so that no
 * signature of it over one is right: that is what `fake-aws.ts` is for.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { temporaryDirectory, type Cleanup } from './engineer.ts';
import { motoCommand } from './peers.ts';
import { freePort, watchServer } from './s3-server.ts';

const START_TIMEOUT_MS = 60_000;
const POLL_MS = 50;

/** @returns its endpoint; it is gone with the test */
export async function startMoto(t: Cleanup): Promise<string> {
  const [command, ...args] = await motoCommand();
  const directory = await temporaryDirectory(t);
  const port = await freePort();
  const child = spawn(command, [...args, '-H', '127.0.0.1', '-p', String(port)], { cwd: directory, stdio: 'ignore' });
  const exited = once(child, 'exit');
  const watchdog = watchServer(child, directory);
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
    await watchdog.dismiss();
  });
  const endpoint = `http://127.0.0.1:${port}`;
  for (
    const deadline = performance.now() + START_TIMEOUT_MS;
    performance.now() < deadline && child.exitCode === null;
    await delay(POLL_MS)
  ) {
    const answer = await fetch(`${endpoint}/moto-api/`).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.ok === true) return endpoint;
  }
  throw new Error(`Cannot start moto: no answer at ${endpoint}`);
}
