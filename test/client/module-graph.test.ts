/** What a host loads with `gantry-tuf/client`: nothing that signs, publishes or asks questions. */
import assert from 'node:assert/strict';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { readImports, reachedFrom, roomOf } from '../support/imports.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const ENTRY = 'lib/client/index.ts';
/** Dynamic imports count: a host may reach them. */
const ROOMS: readonly string[] = ['client', 'files', 'http', 'image', 'release', 'tuf'];
const PACKAGES: readonly string[] = ['@tufjs/canonical-json', 'jsonc-parser', 'lz4-napi', 'semver', 'tuf-js', 'xxhash-wasm'];

test('the client entry reaches only the rooms and packages that a host needs', async () => {
  const graph = await readImports(ROOT, ['lib']);
  const reached = [...reachedFrom(graph, ENTRY)];
  const rooms = new Set(reached.map(roomOf).filter((room) => room !== undefined));
  const packages = new Set(reached.flatMap((file) => graph.packages.get(file) ?? []).filter((name) => !isBuiltin(name)));
  const packageOf = (specifier: string): string => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
  assert.deepEqual([...rooms].toSorted(), ROOMS);
  assert.deepEqual([...new Set([...packages].map(packageOf))].toSorted(), PACKAGES);
});
