/**
 * Where a published object lies (what stock hosts expect, Bottlerocket's layout):
 *
 * ```
 * VARIANT/ARCH/N.root.json  N.targets.json  N.snapshot.json  timestamp.json
 * targets/SHA256.NAME                                       shared by all repositories
 * ```
 */
import { joinStorePath } from './path.ts';
import type { StorePath } from './store.ts';

export function metadataPath(variant: string, arch: string, file: string): StorePath {
  return joinStorePath(variant, arch, file);
}

/** @param publishedName `SHA256.NAME`, with the folders of a nested name in front */
export function targetPath(publishedName: string): StorePath {
  return joinStorePath('targets', publishedName);
}
