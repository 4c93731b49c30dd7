/** What each rule of the release lint wants: findings and docs/lint.md take their words from here. */
import type { LintFinding } from '../../errors.ts';
import type { LintRule } from '../../tuf/lint/rules.ts';
import type { Targets } from '../../tuf/types.ts';
import type { Manifest } from '../manifest.ts';

export interface ReleaseRule extends LintRule {
  readonly severity: LintFinding['severity'];
}

export type ReleaseRuleId =
  | 'manifest-missing'
  | 'duplicate-update'
  | 'bad-name'
  | 'image-missing'
  | 'image-unmeasured'
  | 'image-sizes'
  | 'images-disagree'
  | 'frames-missing'
  | 'stock-excluded'
  | 'target-unreferenced'
  | 'max-version-low'
  | 'max-version-mixed'
  | 'withdrawn'
  | 'migration-loop'
  | 'migration-missing'
  | 'migration-gap'
  | 'unreachable-version'
  | 'wave-bound'
  | 'waves-unordered'
  | 'waves-past'
  | 'wave-overflow';

/** What hosts are told: a manifest, and the targets role that it lies in. */
export interface Offer {
  readonly manifest: Manifest;
  readonly targets: Targets['targets'];
}

const RULES: Readonly<Record<ReleaseRuleId, Omit<ReleaseRule, 'id'>>> = {
  'manifest-missing': {
    severity: 'error',
    wants: 'the `manifest.json` that the targets role names is among the target files',
    who: 'every host',
    fix: 'say where the target files are with --targets-url; if they are there, publish again',
  },
  'duplicate-update': {
    severity: 'error',
    wants: 'each version of a variant and architecture once',
    who: 'hosts take the first one, people mean the second',
    fix: 'gantry release remove VERSION takes all of them away; then add it again',
  },
  'bad-name': {
    severity: 'error',
    wants: 'image and migration names that every TUF client fetches alike: `A-Z a-z 0-9 . _ - +` and `/`',
    who: 'tough and others refuse or escape the name',
    fix: 'rename the target and add the release again',
  },
  'image-missing': {
    severity: 'error',
    wants: 'every image that an update names is a target',
    who: 'hosts that choose the update cannot download it',
    fix: 'gantry release remove VERSION, or add the release again with its images',
  },
  'image-unmeasured': {
    severity: 'warning',
    wants: 'images whose length and digest after decompression are signed (`custom.gantry.raw`)',
    who: 'our agents cannot check what they wrote',
    fix: 'add the next release with gantry; images of other tools stay as they are',
  },
  'image-sizes': {
    severity: 'warning',
    wants: 'a root image of whole 4096-byte blocks, and a hash image that has room for its dm-verity tree',
    who: 'hosts that install it do not boot',
    fix: 'build the hash image again from this root image: veritysetup format ROOT HASH',
  },
  'images-disagree': {
    severity: 'error',
    wants: 'the lz4 and the zstd form of an image have the same content',
    who: 'stock hosts and our agents would run different systems under one version',
    fix: 'add the release again from one set of images with --compression both',
  },
  'frames-missing': {
    severity: 'error',
    wants: 'the frame table that a framed image names is a target',
    who: 'our agents cannot verify the image frame by frame',
    fix: 'add the release again',
  },
  'stock-excluded': {
    severity: 'warning',
    wants: 'lz4 images in `images`',
    who: 'stock Bottlerocket hosts read lz4 only, and fail at the update',
    fix: 'gantry release add --compression both, unless all hosts are your own',
  },
  'target-unreferenced': {
    severity: 'warning',
    wants: 'every target that looks like an image, a frame table or a migration is named by the manifest',
    who: 'nobody, but metadata and storage grow',
    fix: 'gantry release remove takes the images of a release away with it',
  },
  'max-version-low': {
    severity: 'error',
    wants: 'a `max_version` that leaves at least one update on offer',
    who: 'hosts are told to go back and have nowhere to go',
    fix: 'gantry release recall VERSION --to VERSION names a release that is still there',
  },
  'max-version-mixed': {
    severity: 'warning',
    wants: 'one `max_version` for all updates of a variant and architecture',
    who: 'a host is sent back by one update and forward by another',
    fix: 'gantry release recall VERSION --to VERSION, or the next release, sets all of them',
  },
  withdrawn: {
    severity: 'warning',
    wants: 'no update newer than its own `max_version`',
    who: 'nobody is offered it; adding a release would offer it again',
    fix: 'gantry release remove VERSION once its hosts have gone back',
  },
  'migration-loop': {
    severity: 'error',
    wants: 'migration steps that lead from a lower to a higher version',
    who: 'stock hosts run in circles',
    fix: 'correct the step in Release.toml; going back takes the same steps, reversed',
  },
  'migration-missing': {
    severity: 'error',
    wants: 'every migration that a step names is a target',
    who: 'hosts that must run it refuse to update',
    fix: 'gantry release add VERSION … --migrations FILE adds it',
  },
  'migration-gap': {
    severity: 'error',
    wants: 'a chain of steps, as hosts look for it, between every release and each one on offer, in both directions',
    who: 'stock hosts on one side of the gap refuse to update or to go back',
    fix: 'add the missing step to Release.toml (an empty list connects); gantry release path FROM TO shows where it breaks',
  },
  'unreachable-version': {
    severity: 'error',
    wants: 'every release on offer is connected with at least one other one',
    who: 'no stock host of any release can install it',
    fix: 'add a step that leads to it to Release.toml (an empty list connects)',
  },
  'wave-bound': {
    severity: 'error',
    wants: 'wave bounds from 0 to 2047',
    who: 'no host has such a seed: the wave does nothing',
    fix: 'gantry wave set VERSION --policy NAME writes the waves anew',
  },
  'waves-unordered': {
    severity: 'error',
    wants: 'wave times that grow with the bounds',
    who: "Bottlerocket's tools refuse the manifest, and hosts come in an order that nobody meant",
    fix: 'gantry wave set VERSION --policy NAME writes the waves anew',
  },
  'waves-past': {
    severity: 'warning',
    wants: 'new waves that are not over before they are published',
    who: 'the whole fleet is offered the update at once',
    fix: 'gantry wave set VERSION --policy NAME --start TIME, with a time to come',
  },
  'wave-overflow': {
    severity: 'error',
    wants: 'wave times that are dates still when their distance is multiplied by the seeds of a wave',
    who: 'stock hosts compute a date beyond the year 262142 and stop with a panic',
    fix: 'gantry wave pause holds hosts without it',
  },
};

/** In the order in which they are documented. */
export const releaseRules: readonly ReleaseRule[] = Object.entries(RULES).map(([id, rule]) => ({ id, ...rule }));

/** @param breaches what the finding sums up, in words that no other change to the manifest changes; absent: its message */
export type Report = (id: ReleaseRuleId, at: string, message: string, breaches?: readonly string[]) => void;

export interface Reported {
  readonly finding: LintFinding;
  readonly breaches: readonly string[];
}

/** Runs a check and returns what it reported, in order. */
export function collectReported(check: (report: Report) => void): readonly Reported[] {
  const reported: Reported[] = [];
  check((id, at, message, breaches = [`${id} ${message}`]) => {
    const { severity, fix } = RULES[id];
    reported.push({ finding: { rule: id, severity, at, message, fix }, breaches });
  });
  return reported;
}
