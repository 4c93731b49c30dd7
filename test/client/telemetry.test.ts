/** What a host tells about itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { drain } from '../support/host.ts';
import { send, type Lie } from '../support/hostile-server.ts';
import { simulatedHost } from '../support/simulated-host.ts';
import { createRepository } from '../support/simulator.ts';

test('telemetry is told in the order of its names with metadata, with targets only on request, and by default not at all', async (t) => {
  const host = await simulatedHost(t, await createRepository());
  const queries = new Set<string>();
  const note: Lie = (response, file, request) => {
    queries.add(
      `${(request.url ?? '').includes('/targets/') ? 'target' : 'metadata'} ${new URL(request.url ?? '', host.server.url).search}`,
    );
    if (file === undefined) response.writeHead(404).end();
    else response.end(file);
  };
  host.server.lies.set('', note);
  const parameters = { version: '1.2.0+b 1', seed: 42 };
  const query = '?seed=42&version=1.2.0%2Bb+1';
  for (const [telemetry, expected] of [
    [undefined, ['metadata ', 'target ']],
    [{ parameters }, [`metadata ${query}`, 'target ']],
    [{ parameters, on: 'metadata-and-targets' }, [`metadata ${query}`, `target ${query}`]],
  ] as const) {
    queries.clear();
    const client = await host.open(telemetry === undefined ? {} : { telemetry });
    await client.refresh();
    await drain(client.verifiedStream(await client.target('manifest.json')));
    assert.deepEqual([...queries].toSorted(), expected);
    host.server.lies.set('', send(Buffer.alloc(0), 500));
    await assert.rejects(client.refresh(), (error) => error instanceof Error && !error.message.includes('seed='));
    host.server.lies.set('', note);
  }
});
