/** `repo-layout/hosting/nginx.conf` in a real nginx. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { requireTool } from '../support/tools.ts';
import { assertHealthy, assertServesStore, webServerFolder } from '../support/web-server.ts';

const EXAMPLE = new URL('../../repo-layout/hosting/nginx.conf', import.meta.url);

/** The example with its marked lines changed, inside the smallest configuration around it. */
async function configure(folder: string): Promise<{ readonly args: readonly string[] }> {
  const example = await readFile(EXAMPLE, 'utf8');
  const server = example
    .replace(/listen +80;/u, `listen unix:${join(folder, 'socket')};`)
    .replace(/root +[^;]+;/u, `root ${join(folder, 'public')};`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((what) => `${what}_temp_path ${join(folder, what)};`);
  const path = join(folder, 'nginx.conf');
  await writeFile(
    path,
    `daemon off; master_process off; pid ${join(folder, 'pid')}; error_log stderr crit;\n` +
      `events {}\nhttp { access_log off; ${temporary.join(' ')}\n${server}\n}\n`,
  );
  return { args: ['-p', folder, '-c', path] };
}

test('hosting/nginx.conf passes nginx -t', async (t) => {
  if (!requireTool(t, 'nginx')) return;
  const { args } = await configure(await webServerFolder(t));
  const { stderr } = await promisify(execFile)('nginx', ['-t', ...args]);
  assert.match(stderr, /test is successful/u);
});

test('hosting/nginx.conf serves a store as README.md says', async (t) => {
  if (!requireTool(t, 'nginx')) return;
  await assertServesStore(t, { command: 'nginx', configure });
});

test('gantry doctor finds nothing on hosting/nginx.conf', async (t) => {
  if (!requireTool(t, 'nginx')) return;
  await assertHealthy(t, { command: 'nginx', configure });
});
