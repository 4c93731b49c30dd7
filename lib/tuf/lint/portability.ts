/** Rules 2, 3, 4 and 18: what every role has in common, and the part of JSON on which all canonicalisers agree. */
import { isWritableDate } from '../date.ts';
import { findBreaches, formatPath, show } from '../portable-json.ts';
import type { Members, Report } from './finding.ts';

const SPEC_VERSION = /^1\.\d+\.\d+$/u;

export function lintCommon(role: Members, name: string, report: Report): void {
  const { expires, spec_version: spec, version } = role;
  if (typeof expires !== 'string' || !isWritableDate(expires)) {
    report(
      2,
      `${name}.expires`,
      `it is ${show(expires)}; expected YYYY-MM-DDTHH:MM:SSZ up to the year 9000: tough or python-tuf refuses anything else`,
    );
  }
  if (typeof spec !== 'string' || !SPEC_VERSION.test(spec)) {
    report(
      3,
      `${name}.spec_version`,
      `it is ${show(spec)}; expected three numbers of which the first is 1: tuf-js and python-tuf refuse others`,
    );
  } else if (spec !== '1.0.0') {
    report(3, `${name}.spec_version`, `it is ${show(spec)}; expected "1.0.0": tuftool edits no other`, 'warning');
  }
  if (typeof version !== 'number' || !Number.isSafeInteger(version) || version < 1) {
    report(4, `${name}.version`, `it is ${show(version)}; expected a whole number from 1 to 2^53-1: clients refuse or round others`);
  }
}

/** Walks everything that is signed. */
export function lintJson(role: Members, name: string, report: Report): void {
  findBreaches(role, (path, _breach, problem) => report(18, formatPath(name, path), problem));
}
