import { once } from 'node:events';
import { numberOption, pathOf, textOption } from '../options.ts';
import type { CommandSpec } from '../program.ts';
import { openWorkspaceSession } from '../session.ts';
import { count, formatBytes, formatDuration } from '../ui/format.ts';

export const serve: CommandSpec = {
  name: 'serve',
  summary: 'serve the directory store over HTTP',
  description: 'A static server for laptops and tests, with the cache headers that a CDN should send. Ctrl-C stops it.',
  options: [
    { flags: '--port <n>', description: 'port (default: a free one)' },
    { flags: '--host <address>', description: 'address to listen on', default: '127.0.0.1' },
    { flags: '--store <dir>', description: 'serve this directory instead of the store of the workspace' },
  ],
  examples: ['gantry serve', 'gantry serve --port 8080', 'gantry serve --store ./public'],
  async run(context, _, options) {
    const { startStaticServer } = await import('../../lib/server/static-server.ts');
    const given = textOption(options, 'store');
    let directory: string;
    let repositories: readonly { readonly variant: string; readonly arch: string }[] = [];
    if (given === undefined) {
      const { storeDirectory } = await import('../../lib/publish/open-store.ts');
      const { workspace } = await openWorkspaceSession(context, options);
      directory = storeDirectory(workspace);
      repositories = workspace.config.repositories;
    } else {
      directory = pathOf(context, given);
    }
    let requests = 0;
    const server = await startStaticServer({
      directory,
      host: textOption(options, 'host') ?? '127.0.0.1',
      port: numberOption(options, 'port', { min: 0, max: 65_535 }) ?? 0,
      onRequest: ({ method, url, status, bytesSent, durationMs }) => {
        requests += 1;
        context.note(`${status} ${method} ${JSON.stringify(url).slice(1, -1)} ${formatBytes(bytesSent)} ${formatDuration(durationMs)}`);
      },
    });
    const urls = repositories.map(({ variant, arch }) => new URL(`${variant}/${arch}`, server.url).href);
    return {
      json: { url: server.url.href, directory, repositories: urls },
      lines: [`Serving ${directory} at ${server.url.href}`, ...urls.map((url) => `  ${url}`), 'Ctrl-C stops it.'],
      after: async () => {
        if (!context.signal.aborted) await once(context.signal, 'abort');
        await server.close();
        context.note(`Stopped after ${count(requests, 'request')}.`);
      },
    };
  },
};
