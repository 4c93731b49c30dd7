/** What a new manifest changes for hosts, release by release. */
import { named, quote } from '../errors.ts';
import { isSame, isWithdrawn } from '../release/find.ts';
import type { Manifest, Update } from '../release/manifest.ts';

/** Compared as they are written: what is read is kept, unknown members included. */
export function meaningOfManifest(next: Manifest, base: Manifest): readonly string[] {
  const added = next.updates.filter((update) => !base.updates.some((one) => isSame(one, update)));
  const removed = base.updates.filter((update) => !next.updates.some((one) => isSame(one, update)));
  const kept = next.updates.flatMap((update) => {
    const was = base.updates.find((one) => isSame(one, update));
    return was === undefined ? [] : meaningOfUpdate(update, was);
  });
  const rest = differingMembers(base, next).filter((name) => name !== 'updates' && name !== 'migrations');
  return [
    ...added.map((update) => `adds release ${titleOf(update)} with ${imagesOf(update)}${wavesOf(update)}`),
    ...removed.map((update) => `removes release ${titleOf(update)}: nobody is offered it any more`),
    ...kept,
    ...meaningOfMigrations(next.migrations, base.migrations),
    ...rest.map((name) => `changes the member ${quote(name)} of the manifest`),
  ];
}

function meaningOfUpdate(update: Update, was: Update): readonly string[] {
  return differingMembers(was, update).map((name) => {
    const title = titleOf(update);
    switch (name) {
      case 'max_version':
        return isWithdrawn(update) && !isWithdrawn(was)
          ? `recalls release ${title}: hosts that run it go back to ${named(update.max_version)} or before`
          : `lets hosts of release ${title} update up to ${named(update.max_version)}, was ${named(was.max_version)}`;
      case 'waves':
        return `changes when hosts are offered release ${title}:${wavesOf(update) || ' everyone at once'}`;
      case 'images':
      case 'images_zstd':
        return `changes the images of release ${title}`;
      default:
        return `changes ${name === 'gantry' ? 'notes, severity or pause' : `the member ${quote(name)}`} of release ${title}`;
    }
  });
}

function meaningOfMigrations(next: Manifest['migrations'], base: Manifest['migrations']): readonly string[] {
  const text = (step: string, targets: readonly string[] | undefined): string =>
    `the step ${step}: ${targets === undefined || targets.length === 0 ? 'no migrations' : targets.map(named).join(', ')}`;
  return [...new Set([...Object.keys(base), ...Object.keys(next)])].flatMap((step) => {
    const [was, is] = [base[step], next[step]];
    if (JSON.stringify(was) === JSON.stringify(is)) return [];
    if (is === undefined) return [`removes the step ${named(step)}`];
    return [`${was === undefined ? 'adds' : 'changes'} ${text(named(step), is)}`];
  });
}

function titleOf({ variant, arch, version }: Update): string {
  return `${named(version)} of ${named(variant)}/${named(arch)}`;
}

function imagesOf({ images, images_zstd: framed }: Update): string {
  const names = new Set([...Object.values(images), ...Object.values(framed ?? {})]);
  return `${names.size} ${names.size === 1 ? 'image' : 'images'}`;
}

function wavesOf({ waves }: Update): string {
  const times = Object.values(waves).toSorted((a, b) => Date.parse(a) - Date.parse(b));
  const [first, last] = [times[0], times.at(-1)];
  return first === undefined || last === undefined ? '' : ` in ${times.length} waves from ${timeText(first)} to ${timeText(last)}`;
}

/** Times stay as they were written; whatever else stands there is quoted. */
function timeText(text: string): string {
  return /^[0-9TZ:.+-]{1,40}$/u.test(text) ? text : quote(text);
}

function differingMembers(a: object, b: object): readonly string[] {
  const [one, other] = [new Map<string, unknown>(Object.entries(a)), new Map<string, unknown>(Object.entries(b))];
  return [...new Set([...one.keys(), ...other.keys()])].filter((name) => JSON.stringify(one.get(name)) !== JSON.stringify(other.get(name)));
}
