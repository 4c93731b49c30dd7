/** Which targets an update consists of. */
import type { Targets } from '../tuf/types.ts';
import { readImageCustom, type ImageCustom } from './custom.ts';
import type { Manifest, Update } from './manifest.ts';

/** The images that an update names, in every form, and their frame tables. */
export function imageTargetsOf({ images, images_zstd: zstd }: Update, targets: Targets['targets']): readonly string[] {
  const named = [images, ...(zstd === undefined ? [] : [zstd])].flatMap(({ boot, root, hash }) => [boot, root, hash]);
  return named.flatMap((name) => {
    const custom = imageCustomOf(targets, name);
    return custom?.format === 'zstd-frames' ? [name, custom.frames] : [name];
  });
}

/** Image targets of `removed` that the manifest does not need, neither for an update nor for a migration. */
export function orphansOf(removed: readonly Update[], manifest: Manifest, targets: Targets['targets']): readonly string[] {
  const needed = new Set([
    ...Object.values(manifest.migrations).flat(),
    ...manifest.updates.flatMap((update) => imageTargetsOf(update, targets)),
  ]);
  const names = new Set(removed.flatMap((update) => imageTargetsOf(update, targets)));
  return [...names].filter((name) => Object.hasOwn(targets, name) && !needed.has(name));
}

/** Undefined for a target that is no image of ours; what a newer Gantry wrote is not ours to judge. */
export function imageCustomOf(targets: Targets['targets'], name: string): ImageCustom | undefined {
  if (!Object.hasOwn(targets, name)) return undefined;
  try {
    return readImageCustom(targets[name]?.custom);
  } catch {
    return undefined;
  }
}
