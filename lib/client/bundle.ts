/**
 * A repository in one tar file: `metadata/` and `targets/`, the files as a server has them (docs/formats.md). Its headers are read once
 * when it is opened; then every file is a part of it that is read in place.
 *
 * Rules:
 * - the tar file is no more than a server: tuf-js decides about its metadata, and every byte of a target is compared with what is signed;
 * - it must stay the file that was opened: one that is replaced or written to meanwhile is `files/changed`.
 */
import { pathToFileURL } from 'node:url';
import { GantryError, quote } from '../errors.ts';
import { openStableFile, type FileSlice } from '../files/read.ts';
import { nameBelow } from './folder.ts';
import type { Locate } from './local-transport.ts';
import type { Mirror } from './mirrors.ts';
import type { VerifiedTarget } from './target.ts';
import { indexTar, type TarEntry } from './tar-index.ts';

/** What a bundle is made of. */
export const BUNDLE_FOLDERS: { readonly metadata: string; readonly targets: string } = { metadata: 'metadata/', targets: 'targets/' };

export interface Bundle {
  /** Under `file:///PATH-OF-THE-BUNDLE/`, which names nothing outside of it. */
  readonly place: Mirror;
  /** By name, in their order. */
  readonly entries: ReadonlyMap<string, TarEntry>;
  readonly locate: Locate;
}

/** Where a target lies in it; undefined when it is not there. */
export function entryOf({ entries }: Bundle, { path, digest }: VerifiedTarget): TarEntry | undefined {
  return entries.get(BUNDLE_FOLDERS.targets + path.publishedName(digest.hex));
}

/** @throws GantryError `client/bad-bundle`, `files/…` */
export async function openBundle(path: string): Promise<Bundle> {
  const file = await openStableFile(path);
  try {
    const entries = await indexTar(file);
    const stray = [...entries.keys()].find((name) => !Object.values(BUNDLE_FOLDERS).some((folder) => name.startsWith(folder)));
    if (stray !== undefined) {
      throw new GantryError(
        'client/bad-bundle',
        `Cannot use ${quote(path)} as a bundle: it has ${quote(stray)}; expected metadata/ and targets/ only`,
        {
          path,
          at: stray,
        },
      );
    }
    await file.assertUnchanged();
    const base = new URL(`${pathToFileURL(path).href}/`);
    const { identity } = file;
    return {
      place: { metadataUrl: new URL(BUNDLE_FOLDERS.metadata, base), targetsUrl: new URL(BUNDLE_FOLDERS.targets, base) },
      entries,
      locate: async (url) => sliceOf({ path, identity }, entries.get(nameBelow(url, base) ?? '')),
    };
  } finally {
    await file.close();
  }
}

function sliceOf(file: Pick<FileSlice, 'path' | 'identity'>, entry: TarEntry | undefined): FileSlice | undefined {
  return entry === undefined ? undefined : { ...file, ...entry };
}
