/** A folder of metadata that somebody names: a directory, or a URL. */
import { isGantryError } from '../lib/errors.ts';
import type { ReadFile } from '../lib/publish/inspect.ts';
import type { Context } from './context.ts';
import { pathOf } from './options.ts';

export const FILE_MAX_BYTES: number = 64 << 20;

export function isUrl(text: string): boolean {
  return /^https?:\/\//u.test(text);
}

export function folderUrl(text: string): URL {
  return new URL(text.endsWith('/') ? text : `${text}/`);
}

export async function folderReader(context: Context, folder: string): Promise<ReadFile> {
  if (!isUrl(folder)) {
    const { join } = await import('node:path');
    const { readWholeFile } = await import('../lib/files/read.ts');
    const directory = pathOf(context, folder);
    return async (name) => unlessMissing(readWholeFile(join(directory, name), { maxBytes: FILE_MAX_BYTES }));
  }
  const { createHttpClient } = await import('../lib/http/request.ts');
  const http = createHttpClient();
  const url = folderUrl(folder);
  return async (name) => unlessMissing(http.fetchBytes(new URL(name, url), { maxBytes: FILE_MAX_BYTES, signal: context.signal }));
}

async function unlessMissing(reading: Promise<Uint8Array>): Promise<Uint8Array | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isGantryError(error, 'files/missing') || isGantryError(error, 'http/missing')) return undefined;
    throw error;
  }
}
