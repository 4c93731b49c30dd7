/** `repo-layout/hosting/Caddyfile` in a real Caddy. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { requireTool } from '../support/tools.ts';
import { assertHealthy, assertServesStore, webServerFolder } from '../support/web-server.ts';

const EXAMPLE = new URL('../../repo-layout/hosting/Caddyfile', import.meta.url);

/** The example with its marked lines changed; Caddy's own interface and files stay away from those of this machine. */
async function configure(folder: string): Promise<{ readonly args: readonly string[]; readonly env: Readonly<Record<string, string>> }> {
  const example = await readFile(EXAMPLE, 'utf8');
  const site = example.replace('http://updates.example.com {', `http:// {\n\tbind unix/${join(folder, 'socket')}`);
  const server = site.replace(/root \* \S+/u, `root * ${join(folder, 'public')}`);
  const path = join(folder, 'Caddyfile');
  await writeFile(path, `{\n\tadmin off\n\tlog {\n\t\tlevel ERROR\n\t}\n}\n${server}`);
  return {
    args: ['run', '--adapter', 'caddyfile', '--config', path],
    env: { HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder },
  };
}

test('hosting/Caddyfile passes caddy validate', async (t) => {
  if (!requireTool(t, 'caddy')) return;
  const { env } = await configure(await webServerFolder(t));
  const args = ['validate', '--adapter', 'caddyfile', '--config', EXAMPLE.pathname];
  const { stdout, stderr } = await promisify(execFile)('caddy', args, { env: { ...process.env, ...env } });
  assert.match(stdout, /Valid configuration/u);
  assert.doesNotMatch(stderr, /not formatted/u);
});

test('hosting/Caddyfile serves a store as README.md says', async (t) => {
  if (!requireTool(t, 'caddy')) return;
  await assertServesStore(t, { command: 'caddy', configure });
});

test('gantry doctor finds nothing on hosting/Caddyfile', async (t) => {
  if (!requireTool(t, 'caddy')) return;
  await assertHealthy(t, { command: 'caddy', configure });
});
