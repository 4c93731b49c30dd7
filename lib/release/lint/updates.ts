/** Rules on the list of updates: what is there twice, what nobody is offered. */
import { named } from '../../errors.ts';
import { isWithdrawn } from '../find.ts';
import type { Manifest, Update } from '../manifest.ts';
import type { Report } from './rules.ts';

export function updatePlace(index: number): string {
  return `manifest.updates[${index}]`;
}

/** `1.2.0 of metal/x86_64` */
export function titleOf({ variant, arch, version }: Update): string {
  return `${version} of ${named(variant)}/${named(arch)}`;
}

export function lintUpdates({ updates }: Manifest, report: Report): void {
  const seen = new Map<string, number>();
  for (const [index, update] of updates.entries()) {
    const title = titleOf(update);
    const name = JSON.stringify([update.variant, update.arch, update.version]);
    const first = seen.get(name);
    if (first === undefined) seen.set(name, index);
    else report('duplicate-update', updatePlace(index), `${title} is there already as update ${first}`, [`twice ${name}`]);
    if (isWithdrawn(update)) report('withdrawn', updatePlace(index), `${title} is newer than its max_version ${update.max_version}`);
  }
  for (const peers of groupsOf(updates)) lintMaxVersion(peers, report);
}

function lintMaxVersion(peers: readonly (readonly [number, Update])[], report: Report): void {
  const [first] = peers;
  if (first === undefined) return;
  const [index, { variant, arch, max_version: maxVersion }] = first;
  const at = `${updatePlace(index)}.max_version`;
  if (peers.every(([, update]) => isWithdrawn(update))) {
    report(
      'max-version-low',
      at,
      `max_version ${maxVersion} is below every update of ${named(variant)}/${named(arch)}: nothing is on offer`,
      [`nothing on offer ${groupOf(first[1])}`],
    );
  }
  const other = peers.find(([, update]) => update.max_version !== maxVersion);
  if (other !== undefined) {
    report(
      'max-version-mixed',
      `${updatePlace(other[0])}.max_version`,
      `${titleOf(other[1])} has max_version ${other[1].max_version}, others of ${named(variant)}/${named(arch)} have ${maxVersion}`,
    );
  }
}

/** Tells variants and architectures apart, whatever they are called. */
export function groupOf({ variant, arch }: Pick<Update, 'variant' | 'arch'>): string {
  return JSON.stringify([variant, arch]);
}

/** The updates of each variant and architecture, with their places. */
export function groupsOf(updates: readonly Update[]): readonly (readonly (readonly [number, Update])[])[] {
  return [...Map.groupBy(updates.entries(), ([, update]) => groupOf(update)).values()];
}
