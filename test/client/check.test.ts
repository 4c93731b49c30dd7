import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import send from 'send';
import { openRepository, type RepositoryClient } from '../../lib/client/index.ts';
import { engineerWithRelease } from '../support/engineer.ts';

const PATIENCE_MS = 2000;

interface Slow {
  readonly client: RepositoryClient;
  /** The most requests of targets that waited at one moment. */
  readonly most: () => number;
}

/** A server that answers for targets only when two have asked, or nobody else comes. */
async function slowScene(t: TestContext): Promise<Slow> {
  const engineer = await engineerWithRelease(t, '1.0.0', new Date());
  const seen = { waiting: 0, most: 0 };
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname;
    const answer = (): void => void send(request, path, { root: engineer.storeDirectory }).pipe(response);
    if (!path.startsWith('/targets/') || path.endsWith('manifest.json')) {
      answer();
      return;
    }
    seen.waiting += 1;
    seen.most = Math.max(seen.most, seen.waiting);
    const until = performance.now() + PATIENCE_MS;
    void (async () => {
      while (seen.most < 2 && performance.now() < until) await sleep(5);
      seen.waiting -= 1;
      answer();
    })();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  // The proof: a TCP server has an address of this kind.
  const { port } = server.address() as AddressInfo;
  const client = await openRepository({
    root: await readFile(join(engineer.workspace.directory, '1.root.json')),
    metadataUrl: `http://127.0.0.1:${port}/metal/x86_64/`,
    stateDirectory: join(engineer.directory, 'state'),
  });
  t.after(() => client.close());
  await client.refresh();
  return { client, most: () => seen.most };
}

test('check() fetches several targets at once, counts the bytes of all, and never goes back', async (t) => {
  const { client, most } = await slowScene(t);
  const targets = await client.allTargets();
  const seen: number[] = [];
  const checked = await client.check(targets, { onProgress: (bytes) => seen.push(bytes) });
  assert.ok(most() >= 2, `at most ${most()} at once`);
  assert.equal(
    checked,
    targets.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0),
  );
  assert.deepEqual(
    seen,
    seen.toSorted((a, b) => a - b),
  );
  assert.equal(seen.at(-1), checked);
});

test('check() stops all of them when it is stopped', async (t) => {
  const { client } = await slowScene(t);
  const stop = new AbortController();
  const running = client.check(await client.allTargets(), { signal: stop.signal, onProgress: () => stop.abort() });
  await assert.rejects(running, { code: 'aborted' });
});
