/** Rules on images, and on targets that belong to no release. */
import { quote } from '../../errors.ts';
import type { Targets } from '../../tuf/types.ts';
import type { ImageCustom } from '../custom.ts';
import { imageCustomOf, imageTargetsOf } from '../image-targets.ts';
import type { Images, Update } from '../manifest.ts';
import { isTargetName } from './migrations.ts';
import type { Offer, Report } from './rules.ts';
import { titleOf, updatePlace } from './updates.ts';

const KINDS = ['boot', 'root', 'hash'] as const;

export function lintImages(offer: Offer, treeBytes: (rootBytes: number) => number, report: Report): void {
  const { manifest, targets } = offer;
  for (const [index, update] of manifest.updates.entries()) {
    const at = updatePlace(index);
    lintNames(update.images, `${at}.images`, targets, report);
    if (update.images_zstd !== undefined) lintNames(update.images_zstd, `${at}.images_zstd`, targets, report);
    if (!KINDS.every((kind) => update.images[kind].endsWith('.lz4'))) {
      report('stock-excluded', `${at}.images`, `stock hosts cannot install ${titleOf(update)}: not all of its images are lz4`);
    }
    lintContent(update, at, targets, treeBytes, report);
  }
  lintUnreferenced(offer, report);
}

function lintNames(images: Images, at: string, targets: Targets['targets'], report: Report): void {
  for (const kind of KINDS) {
    const name = images[kind];
    if (!isTargetName(name)) report('bad-name', `${at}.${kind}`, `${quote(name)} is not a name that every client fetches alike`);
    else if (!Object.hasOwn(targets, name)) report('image-missing', `${at}.${kind}`, `${quote(name)} is not a target`);
  }
}

function lintContent(
  update: Update,
  at: string,
  targets: Targets['targets'],
  treeBytes: (rootBytes: number) => number,
  report: Report,
): void {
  const measured = (name: string): ImageCustom | undefined => imageCustomOf(targets, name);
  const [first, twin] = [update.images, update.images_zstd].map((images) => ({
    boot: images === undefined ? undefined : measured(images.boot),
    root: images === undefined ? undefined : measured(images.root),
    hash: images === undefined ? undefined : measured(images.hash),
  }));
  if (first === undefined) return;
  const unmeasured = KINDS.filter((kind) => first[kind] === undefined && Object.hasOwn(targets, update.images[kind]));
  if (unmeasured.length > 0) {
    report(
      'image-unmeasured',
      `${at}.images`,
      `nothing is signed of what the ${unmeasured.join(', ')} image of ${titleOf(update)} is after decompression`,
    );
  }
  for (const kind of KINDS) {
    const [one, other] = [first[kind], twin?.[kind]];
    if (one !== undefined && other !== undefined && one.raw.sha256 !== other.raw.sha256) {
      report(
        'images-disagree',
        `${at}.images_zstd.${kind}`,
        `the lz4 and the zstd form of the ${kind} image of ${titleOf(update)} have different content`,
      );
    }
    for (const image of [one, other]) {
      if (image?.format === 'zstd-frames' && !Object.hasOwn(targets, image.frames)) {
        report('frames-missing', `${at}.images.${kind}`, `the frame table ${quote(image.frames)} is not a target`);
      }
    }
  }
  if (first.root !== undefined && first.hash !== undefined) lintTree(update, first.root, first.hash, at, treeBytes, report);
}

function lintTree(
  update: Update,
  root: ImageCustom,
  hash: ImageCustom,
  at: string,
  treeBytes: (rootBytes: number) => number,
  report: Report,
): void {
  const [rootBytes, hashBytes] = [root.raw.lengthBytes, hash.raw.lengthBytes];
  if (rootBytes % 4096 !== 0) {
    report(
      'image-sizes',
      `${at}.images.root`,
      `the root image of ${titleOf(update)} has ${rootBytes} bytes; expected whole blocks of 4096`,
    );
    return;
  }
  const needed = treeBytes(rootBytes);
  if (hashBytes < needed) {
    report(
      'image-sizes',
      `${at}.images.hash`,
      `the hash image of ${titleOf(update)} has ${hashBytes} bytes; the tree of its root image needs ${needed}`,
    );
  }
}

/** Targets of these names belong to releases; others are the publisher's own. */
const OF_RELEASES = /(?:-(?:boot|root)\.ext4|-root\.verity)\.(?:lz4|zst)(?:\.frames)?$|^migrate_v/u;

function lintUnreferenced({ manifest, targets }: Offer, report: Report): void {
  const named = new Set([
    ...Object.values(manifest.migrations).flat(),
    ...manifest.updates.flatMap((update) => imageTargetsOf(update, targets)),
  ]);
  for (const name of Object.keys(targets)) {
    if (OF_RELEASES.test(name) && !named.has(name))
      report('target-unreferenced', `targets[${quote(name)}]`, `${quote(name)} belongs to no release`);
  }
}
