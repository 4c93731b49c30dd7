/**
 * The release lint: whether what a manifest offers can be installed, in the order that was meant, by every host that it is
 * offered to. It looks at names, sizes and schedules; bytes are for `gantry verify`.
 */
import { GantryError, type LintFinding } from '../errors.ts';
import { lintImages } from './lint/images.ts';
import { lintMigrations } from './lint/migrations.ts';
import { collectReported, type Offer, type Reported } from './lint/rules.ts';
import { lintUpdates } from './lint/updates.ts';
import { lintWaves } from './lint/waves.ts';
import type { Manifest } from './manifest.ts';

export { releaseRules, type Offer } from './lint/rules.ts';

export interface LintOptions {
  readonly now: Date;
  /** The length of the dm-verity tree of a root image. */
  readonly treeBytes: (rootBytes: number) => number;
}

/**
 * @param published what hosts were told before: only what is new is compared with the clock
 */
export function lintRelease(offer: Offer, published: Manifest, options: LintOptions): readonly LintFinding[] {
  return reportedOn(offer, published, options).map(({ finding }) => finding);
}

function reportedOn(offer: Offer, published: Manifest, { now, treeBytes }: LintOptions): readonly Reported[] {
  return collectReported((report) => {
    lintUpdates(offer.manifest, report);
    lintImages(offer, treeBytes, report);
    lintMigrations(offer, report);
    lintWaves(offer.manifest, published, now, report);
  });
}

/** For a repository whose targets role names a manifest that is not there. */
export function lintMissingManifest(): readonly LintFinding[] {
  return collectReported((report) =>
    report('manifest-missing', 'targets["manifest.json"]', 'the targets role names manifest.json, and it is not among the target files'),
  ).map(({ finding }) => finding);
}

/**
 * What an edit makes worse; what was wrong before is not said again.
 *
 * @param published what hosts are told now; with a draft that waits, that is not `before`
 */
export function newFindings(offer: Offer, before: Offer, options: LintOptions & { readonly published: Manifest }): readonly LintFinding[] {
  const known = new Set(reportedOn(before, options.published, options).flatMap(({ breaches }) => breaches));
  return reportedOn(offer, options.published, options).flatMap(({ finding, breaches }) =>
    breaches.some((breach) => !known.has(breach)) ? [finding] : [],
  );
}

/**
 * Refuses what would make a release worse than it is: errors that were there before can be corrected one after the other.
 *
 * @throws GantryError `release/lint`
 */
export function assertReleasable(offer: Offer, before: Offer, options: LintOptions): void {
  const found = newFindings(offer, before, { ...options, published: before.manifest });
  const findings = found.filter(({ severity }) => severity === 'error');
  const [first] = findings;
  if (first === undefined) return;
  const more = findings.length === 1 ? '' : ` (and ${findings.length - 1} more)`;
  throw new GantryError('release/lint', `Cannot draft this release: ${first.rule}: ${first.at}: ${first.message}${more}`, { findings });
}
