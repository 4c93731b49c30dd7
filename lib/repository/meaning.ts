/**
 * What a role means for people: sentences, computed from the bytes that are to be signed and from those that they replace.
 *
 * Rules:
 * - nothing is taken from what a draft says about itself;
 * - every member of the role is accounted for: what no sentence can tell is listed in `unexplained`, and is not signed.
 */
import { named, quote } from '../errors.ts';
import type { Manifest } from '../release/manifest.ts';
import type { Snapshot, Targets, Timestamp } from '../tuf/types.ts';
import { meaningOfDelegations } from './meaning-delegations.ts';
import { meaningOfManifest } from './meaning-manifest.ts';
import { differing, expiryMeaning, sameValue, shorten, unexplainedMembers, type KeyNames, type Meaning } from './meaning-parts.ts';

export type { KeyNames, Meaning } from './meaning-parts.ts';

/** What both manifests say; absent where there is none. */
export interface TargetsContext {
  readonly base?: Targets | undefined;
  readonly manifest: Manifest;
  readonly baseManifest: Manifest;
  readonly nameOf: KeyNames;
}

export function meaningOfTargets(next: Targets, { base, manifest, baseManifest, nameOf }: TargetsContext): Meaning {
  const releases = meaningOfManifest(manifest, baseManifest);
  const told = releases.length > 0;
  const files = meaningOfFiles(next.targets, base?.targets ?? {}, told ? new Set(['manifest.json']) : new Set());
  const delegations = meaningOfDelegations(next.delegations, base?.delegations, nameOf);
  return {
    sentences: [...releases, ...files, ...delegations.sentences, expiryMeaning(next, base)],
    unexplained: [...delegations.unexplained, ...unexplainedMembers(next, base, ['targets', 'delegations'], USUAL)],
  };
}

const USUAL = { spec_version: '1.0.0' };

function meaningOfFiles(next: Targets['targets'], base: Targets['targets'], told: ReadonlySet<string>): readonly string[] {
  const paths = (list: Targets['targets'], other: Targets['targets']): readonly string[] =>
    Object.keys(list).filter((path) => !Object.hasOwn(other, path) && !told.has(path));
  const changed = Object.entries(next).filter(
    ([path, file]) => Object.hasOwn(base, path) && !told.has(path) && !sameValue(file, base[path]),
  );
  return [
    ...shorten(paths(next, base).map((path) => `adds target ${named(path)}, ${next[path]?.length ?? 0} bytes`)),
    ...shorten(paths(base, next).map((path) => `removes target ${named(path)}`)),
    ...shorten(
      changed.map(([path, file]) =>
        sameValue(file.hashes, base[path]?.hashes)
          ? `changes what is said of target ${named(path)}: ${differing(base[path] ?? {}, file)
              .map(quote)
              .join(', ')}`
          : `replaces the content of target ${named(path)}`,
      ),
    ),
  ];
}

/** Snapshot and timestamp name files; those follow from what was signed before. */
export function meaningOfMeta(next: Snapshot | Timestamp, base: Snapshot | Timestamp | undefined): Meaning {
  const before = new Map(Object.entries(base?.meta ?? {}));
  const after = new Map(Object.entries(next.meta));
  const sentences = [...after].flatMap(([file, meta]) => {
    const was = before.get(file);
    if (was === undefined) return [`names ${named(file)} version ${meta.version}`];
    if (sameValue(meta, was)) return [];
    return [
      was.version === meta.version
        ? `names another ${named(file)} version ${meta.version}`
        : `names ${named(file)} version ${meta.version}, was ${was.version}`,
    ];
  });
  const gone = [...before.keys()].filter((file) => !after.has(file)).map((file) => `names ${named(file)} no more`);
  return {
    sentences: [...shorten(sentences), ...shorten(gone), expiryMeaning(next, base)],
    unexplained: unexplainedMembers(next, base, ['meta'], USUAL),
  };
}
