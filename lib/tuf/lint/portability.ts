/** Rules 2, 3, 4 and 18: what every role has in common, and the part of JSON on which all canonicalisers agree. */
import { quote } from '../../errors.ts';
import { isWritableDate } from '../date.ts';
import { isObject, member, type Members, type Report } from './finding.ts';

const SPEC_VERSION = /^1\.\d+\.\d+$/u;

export function lintCommon(role: Members, name: string, report: Report): void {
  const { expires, spec_version: spec, version } = role;
  if (typeof expires !== 'string' || !isWritableDate(expires)) {
    report(
      2,
      `${name}.expires`,
      `it is ${quote(String(expires))}; expected YYYY-MM-DDTHH:MM:SSZ before the year 9000: tough and python-tuf refuse anything else`,
    );
  }
  if (typeof spec !== 'string' || !SPEC_VERSION.test(spec)) {
    report(
      3,
      `${name}.spec_version`,
      `it is ${quote(String(spec))}; expected three numbers that start with 1: tuf-js and python-tuf refuse others`,
    );
  } else if (spec !== '1.0.0') {
    report(3, `${name}.spec_version`, `it is ${quote(spec)}; tuftool edits only 1.0.0`, 'warning');
  }
  if (typeof version !== 'number' || !Number.isSafeInteger(version) || version < 1) {
    report(4, `${name}.version`, `it is ${quote(String(version))}; expected a whole number from 1 to 2^53-1`);
  }
}

/** Walks everything that is signed. */
export function lintJson(value: unknown, at: string, report: Report): void {
  if (typeof value === 'string') {
    if (value.normalize('NFC') !== value)
      report(18, at, 'its text is not in Unicode form NFC: tough normalises it, and the signature fails there');
  } else if (typeof value === 'number') {
    if (!Number.isSafeInteger(value))
      report(18, at, `it is ${value}; expected a whole number within ±(2^53-1): tough, python-tuf and go-tuf refuse others`);
  } else if (Array.isArray(value)) {
    value.forEach((item, index) => lintJson(item, `${at}[${index}]`, report));
  } else if (isObject(value)) {
    for (const [name, item] of Object.entries(value)) {
      lintMemberName(name, at, report);
      lintJson(item, member(at, name), report);
    }
  } else if (value !== null && typeof value !== 'boolean') {
    report(18, at, `it is ${typeof value}; expected JSON`);
  }
}

function lintMemberName(name: string, at: string, report: Report): void {
  const problem = [...name].some((character) => character < '#')
    ? 'has a blank, "!" or a quote: tough sorts it differently'
    : /[\u{10000}-\u{10ffff}]/u.test(name)
      ? 'has a character beyond U+FFFF: the canonicalisers sort it differently'
      : name.normalize('NFC') !== name
        ? 'is not in Unicode form NFC: tough normalises it'
        : undefined;
  if (problem !== undefined) report(18, member(at, name), `the member name ${problem}, and the signature fails there`);
}
