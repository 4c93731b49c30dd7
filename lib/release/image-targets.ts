/** Which targets an update consists of. */
import type { Targets } from '../tuf/types.ts';
import { readImageCustom, type ImageCustom } from './custom.ts';
import { GantryError, quote } from '../errors.ts';
import { MANIFEST_PATH, type Manifest, type Update } from './manifest.ts';

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

/** What updates need: the manifest, and the images and migrations that it names. */
export function targetsOnOffer(targets: Targets['targets'], manifest: Manifest): ReadonlySet<string> {
  return new Set([
    MANIFEST_PATH,
    ...Object.values(manifest.migrations).flat(),
    ...manifest.updates.flatMap((update) => imageTargetsOf(update, targets)),
  ]);
}

/** @throws GantryError `repository/bad-change` for a target that an update needs */
export function refuseOnOffer(
  { targets, manifest }: { readonly targets: Targets['targets']; readonly manifest: Manifest },
  path: string,
): void {
  if (!targetsOnOffer(targets, manifest).has(path)) return;
  throw new GantryError(
    'repository/bad-change',
    `Cannot change the target ${quote(path)}: hosts need it for an update; expected one that is no part of a release`,
    { path },
  );
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
