/**
 * The part of JSON on which all TUF clients agree (tuf-interop §3.1, rule 18).
 *
 * Rules:
 * - `formless`: a value that has no canonical form, or that shares it with another value, so nobody may sign or verify it;
 * - `divergent`: a value that our canonicaliser writes, and some client writes differently, so that its signature fails there.
 */
import { quote } from '../errors.ts';

export type JsonPath = readonly (string | number)[];

/** What breaks: `formless` for everybody, `divergent` for some client. */
export type Breach = 'formless' | 'divergent';

export type ReportBreach = (path: JsonPath, breach: Breach, problem: string) => void;

/** tough's parser gives up at 128 levels. */
export const MAX_DEPTH = 100;

const BYTE = {
  quote: 0x22,
  point: 0x2e,
  upperE: 0x45,
  openList: 0x5b,
  backslash: 0x5c,
  closeList: 0x5d,
  e: 0x65,
  openObject: 0x7b,
  closeObject: 0x7d,
};
const PRINTABLE_ASCII = /^[\x20-\x7e]*$/u;

/** Reports everything in a value that is not portable; `path` is reused, so a reporter that keeps it must copy it. */
export function findBreaches(value: unknown, report: ReportBreach): void {
  visit(value, [], report);
}

/** True when JSON text nests lists and objects deeper than this; asked before parsing, which takes memory for each level. */
export function isNestedDeeper(json: Uint8Array, levels: number): boolean {
  let depth = 0;
  for (let index = 0; index < json.length; index += 1) {
    const byte = json[index];
    if (byte === BYTE.quote) index = endOfText(json, index);
    else if (byte === BYTE.openList || byte === BYTE.openObject) depth += 1;
    else if (byte === BYTE.closeList || byte === BYTE.closeObject) depth -= 1;
    if (depth > levels) return true;
  }
  return false;
}

/** `targets.targets["a b"].length` for a path that starts in `targets`. */
export function formatPath(start: string, path: JsonPath): string {
  return path.reduce<string>((text, name) => {
    if (typeof name === 'number') return `${text}[${name}]`;
    return /^[A-Za-z_]\w*$/u.test(name) ? `${text}.${name}` : `${text}[${quote(name)}]`;
  }, start);
}

/** A value in a message; nothing that stands in it is called, so a hostile `toString` member stays text. */
export function show(value: unknown): string {
  if (typeof value === 'string') return quote(value);
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return Object.is(value, -0) ? '-0' : String(value);
  if (value === undefined) return 'missing';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/** The offset of a number that is written with a fraction or an exponent: `1.0` parses to a whole number, but not everywhere. */
export function findFraction(json: Uint8Array): number | undefined {
  for (let index = 0; index < json.length; index += 1) {
    const byte = json[index];
    if (byte === BYTE.quote) index = endOfText(json, index);
    // Outside of texts an "e" stands in true and false too, but never behind a digit.
    else if (byte === BYTE.point || ((byte === BYTE.e || byte === BYTE.upperE) && isDigit(json[index - 1]))) return index;
  }
  return undefined;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

/** Where the quote stands that closes the one at `start`. */
function endOfText(json: Uint8Array, start: number): number {
  let end = json.indexOf(BYTE.quote, start + 1);
  while (end !== -1 && isEscaped(json, end)) end = json.indexOf(BYTE.quote, end + 1);
  return end === -1 ? json.length : end;
}

function isEscaped(json: Uint8Array, index: number): boolean {
  let backslashes = 0;
  while (json[index - 1 - backslashes] === BYTE.backslash) backslashes += 1;
  return backslashes % 2 === 1;
}

function visit(value: unknown, path: (string | number)[], report: ReportBreach): void {
  if (value === null || typeof value === 'boolean') return;
  if (typeof value === 'string') visitText(value, path, report);
  else if (typeof value === 'number') visitNumber(value, path, report);
  else if (path.length >= MAX_DEPTH) report(path, 'formless', `it is nested more than ${MAX_DEPTH} levels deep, and tough gives up at 128`);
  else if (Array.isArray(value)) {
    // By index, so that a hole is seen.
    for (let index = 0; index < value.length; index += 1) step(value[index], index, path, report);
  } else if (isPlain(value)) {
    for (const [name, item] of Object.entries(value)) {
      visitMemberName(name, path, report);
      step(item, name, path, report);
    }
  } else report(path, 'formless', `it is ${show(value)}, which is not JSON: no client can be told of it`);
}

function step(value: unknown, name: string | number, path: (string | number)[], report: ReportBreach): void {
  path.push(name);
  visit(value, path, report);
  path.pop();
}

function visitText(text: string, path: JsonPath, report: ReportBreach): void {
  if (PRINTABLE_ASCII.test(text)) return;
  if (!text.isWellFormed()) report(path, 'formless', 'its text has half of a surrogate pair, which no client can write in UTF-8');
  else if (text.normalize('NFC') !== text) report(path, 'divergent', 'its text is not in Unicode form NFC: tough normalises it');
}

function visitNumber(value: number, path: JsonPath, report: ReportBreach): void {
  if (!Number.isSafeInteger(value)) {
    report(path, 'formless', `it is ${value}; expected a whole number within ±(2^53-1): tough, python-tuf and go-tuf refuse others`);
  } else if (Object.is(value, -0))
    report(path, 'formless', 'it is -0, which has the form of 0, and which tough reads as a float; expected 0');
}

function visitMemberName(name: string, path: (string | number)[], report: ReportBreach): void {
  const problem = memberNameProblem(name);
  if (problem === undefined) return;
  path.push(name);
  report(path, name.isWellFormed() ? 'divergent' : 'formless', `the member name ${problem}`);
  path.pop();
}

function memberNameProblem(name: string): string | undefined {
  // Below "#" lie control characters, the blank, "!" and the quote: tough sorts by the encoded text with its closing quote.
  if (/[^#-\u{10ffff}]/u.test(name)) return 'has a blank, "!", a quote or a control character: tough sorts it differently';
  if (PRINTABLE_ASCII.test(name)) return undefined;
  if (!name.isWellFormed()) return 'has half of a surrogate pair, which no client can write in UTF-8';
  if (/[\u{10000}-\u{10ffff}]/u.test(name)) return 'has a character beyond U+FFFF: tough and python-tuf sort it differently than tuf-js';
  return name.normalize('NFC') === name ? undefined : 'is not in Unicode form NFC: tough normalises it';
}

function isPlain(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
