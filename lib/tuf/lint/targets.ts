/** Rules 10, 12 and 13: the targets of a role. */
import { show } from '../portable-json.ts';
import { TargetPath } from '../target-path.ts';
import { isObject, member, membersOf, type Members, type Report } from './finding.ts';
import { lintHashes } from './meta.ts';

export function lintTargets(role: Members, name: string, report: Report): void {
  if (!isObject(role['targets']))
    report(12, `${name}.targets`, `it is ${show(role['targets'])}; expected an object of targets: every client refuses the role`);
  for (const [path, entry] of membersOf(role['targets'])) {
    const here = member(`${name}.targets`, path);
    if (!TargetPath.isPortable(path)) {
      report(
        13,
        here,
        'clients fetch this name from different places; expected parts of A-Z a-z 0-9 . _ - + joined by "/", none empty or starting with a dot',
      );
    }
    if (!isObject(entry)) {
      report(12, here, `it is ${show(entry)}; expected an object: every client refuses the role`);
      continue;
    }
    const { length } = entry;
    if (typeof length !== 'number' || !Number.isSafeInteger(length) || length < 0) {
      report(12, `${here}.length`, `it is ${show(length)}; expected a number of bytes: every client refuses the role`);
    }
    lintHashes(entry['hashes'], `${here}.hashes`, report);
    if (entry['custom'] !== undefined) lintCustom(entry['custom'], `${here}.custom`, report);
  }
}

function lintCustom(custom: unknown, at: string, report: Report): void {
  if (!isObject(custom) || Object.keys(custom).length === 0) {
    report(12, at, 'it is not an object with members: tough drops an empty one, and the signature fails there');
    return;
  }
  lintCustomValue(custom, at, report);
}

function lintCustomValue(value: unknown, at: string, report: Report): void {
  if (value === null || (typeof value === 'number' && !Number.isSafeInteger(value))) {
    report(
      12,
      at,
      `it is ${show(value)}; expected text, true or false, a list, an object or a whole number: tough refuses or rewrites others`,
    );
  } else if (Array.isArray(value)) value.forEach((item, index) => lintCustomValue(item, `${at}[${index}]`, report));
  else for (const [name, item] of membersOf(value)) lintCustomValue(item, member(at, name), report);
}
