import type { CacheEntry } from '../../lib/workspace/image-cache.ts';
import { dryRunOption, isSet } from '../options.ts';
import type { CommandSpec, Outcome } from '../program.ts';
import { openWorkspaceOnly } from '../session.ts';
import { count, formatBytes } from '../ui/format.ts';
import { table } from '../ui/table.ts';

const show: CommandSpec = {
  name: 'show',
  summary: 'list the compressed images that are kept',
  description:
    'Images that release add compressed, the one used last first. One that comes again, at the same level, is taken from here. What was used longest ago goes when all of it is more than max_gib in gantry.toml (4 by default).',
  examples: ['gantry cache show', 'gantry cache show --json'],
  async run(context, _, options) {
    const { CACHE_DEFAULT_MAX_BYTES, listCache } = await import('../../lib/workspace/image-cache.ts');
    const workspace = await openWorkspaceOnly(context, options);
    const entries = await listCache(workspace);
    const maxBytes = workspace.config.cacheMaxBytes ?? CACHE_DEFAULT_MAX_BYTES;
    const bytes = bytesOf(entries);
    return {
      json: { maxBytes, bytes, images: entries.map(jsonOf) },
      lines: [
        `${count(entries.length, 'compressed image')}, ${formatBytes(bytes)}; at most ${formatBytes(maxBytes)} are kept.`,
        ...(entries.length === 0
          ? []
          : table(
              entries.map((entry) => [
                `  ${entry.rawSha256.slice(0, 16)}`,
                entry.form,
                formatBytes(entry.bytes),
                entry.usedAt.toISOString().slice(0, 16).replace('T', ' '),
              ]),
              { head: ['  raw SHA-256', 'form', 'size', 'last used (UTC)'], right: [2] },
            )),
      ],
    };
  },
};

const clear: CommandSpec = {
  name: 'clear',
  summary: 'forget the compressed images that are kept',
  description: 'What waits for publication stays. The next release add compresses its images anew.',
  options: [dryRunOption],
  examples: ['gantry cache clear --dry-run', 'gantry cache clear'],
  async run(context, _, options) {
    const { listCache, removeEntries } = await import('../../lib/workspace/image-cache.ts');
    const workspace = await openWorkspaceOnly(context, options);
    const entries = await listCache(workspace);
    const isDryRun = isSet(options, 'dryRun');
    if (!isDryRun) await removeEntries(workspace, entries);
    return outcomeOf(entries, isDryRun ? 'dry-run' : 'done');
  },
};

function outcomeOf(entries: readonly CacheEntry[], how: 'dry-run' | 'done'): Outcome {
  const bytes = bytesOf(entries);
  return {
    json: { ...(how === 'dry-run' ? { dryRun: true } : {}), bytes, removed: entries.map(jsonOf) },
    lines: [`${how === 'dry-run' ? 'Would remove' : 'Removed'} ${count(entries.length, 'compressed image')}, ${formatBytes(bytes)}.`],
  };
}

function jsonOf({ rawSha256, form, bytes, usedAt }: CacheEntry): object {
  return { rawSha256, form, bytes, usedAt: usedAt.toISOString() };
}

function bytesOf(entries: readonly CacheEntry[]): number {
  return entries.reduce((sum, { bytes }) => sum + bytes, 0);
}

export const cache: CommandSpec = {
  name: 'cache',
  summary: 'compressed images that are kept for the next release',
  subcommands: [show, clear],
};
