/** What a host loads: the client, and nothing that signs, publishes or talks to a cloud. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { readImports, reachedFrom, roomOf } from '../support/imports.ts';

const runFile = promisify(execFile);
const ROOT = join(import.meta.dirname, '..', '..');
const ENTRY = 'lib/client/index.ts';
const ROOMS = ['client', 'files', 'http', 'image', 'release', 'tuf'];
const PACKAGES = ['@tufjs/canonical-json', '@tufjs/models', 'jsonc-parser', 'lz4-napi', 'semver', 'tuf-js', 'xxhash-wasm'];

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

test('the client imports six rooms and seven packages when its sources are walked, dynamic imports too', async () => {
  const graph = await readImports(ROOT, ['lib']);
  const reached = [...reachedFrom(graph, ENTRY)];
  const rooms = new Set(reached.map(roomOf).filter((room) => room !== undefined));
  assert.deepEqual([...rooms].toSorted(), ROOMS);
  const packages = reached.flatMap((file) => graph.packages.get(file) ?? []).filter((name) => !name.startsWith('node:'));
  assert.deepEqual(
    [...new Set(packages.map(packageOf))].filter((name) => !PACKAGES.includes(name)),
    [],
  );
});

/** What Node loads for the entry, and for what is done with it. */
async function loadedBy(use: string): Promise<readonly string[]> {
  const code = `
    import { registerHooks } from 'node:module';
    const loaded = [];
    registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context); } });
    const client = await import(${JSON.stringify(new URL(`../../${ENTRY}`, import.meta.url).href)});
    ${use}
    console.log(JSON.stringify(loaded));`;
  const { stdout } = await runFile(process.execPath, ['--input-type=module', '-e', code]);
  const loaded: readonly string[] = JSON.parse(stdout);
  return loaded;
}

test('the client loads no package and nothing that fetches before a repository is opened', async () => {
  const loaded = await loadedBy('');
  assert.ok(loaded.some((url) => url.endsWith('/lib/client/open.ts')));
  assert.deepEqual(
    loaded.filter((url) => /\/node_modules\/|\/lib\/(?:http|image|files|tuf)\/|^node:https?$/u.test(url)),
    [],
  );
});

test('the client loads nothing that signs, publishes or talks to a cloud when a repository is opened', async () => {
  const loaded = await loadedBy("await client.openRepository({ root: Buffer.alloc(0), metadataUrl: 'http://h/' }).catch(() => {});");
  assert.ok(loaded.some((url) => url.endsWith('/lib/client/repository-client.ts')));
  assert.ok(loaded.some((url) => url.includes('/node_modules/tuf-js/')));
  const foreign = loaded
    .filter((url) => url.includes('/lib/') && !url.includes('/node_modules/'))
    .map((url) => roomOf(url.slice(url.lastIndexOf('/lib/') + 1)))
    .filter((room) => room !== undefined && !ROOMS.includes(room));
  assert.deepEqual(foreign, []);
  const heavy =
    /\/node_modules\/(?:@aws-sdk|@sigstore|@inquirer|asn1js|commander|zod|send|toml-eslint-parser|tar-stream|log-update|typescript)\//u;
  assert.deepEqual(
    loaded.filter((url) => heavy.test(url)),
    [],
  );
});
