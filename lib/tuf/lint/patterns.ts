/** Rule 15: path patterns that every client reads alike, and what they cover. */
import { show } from '../portable-json.ts';
import type { Report } from './finding.ts';

/** Literals, `*` and `?`; none of the characters that some client reads as more. */
const PATTERN = /^[A-Za-z0-9._*?+/-]+$/u;

export function lintPatterns(patterns: unknown, at: string, report: Report): void {
  if (!Array.isArray(patterns)) {
    report(15, at, `it is ${show(patterns)}; expected a list of patterns: every client refuses the role`);
    return;
  }
  for (const pattern of patterns) {
    const problem = problemOf(pattern);
    if (problem !== undefined) report(15, at, `${show(pattern)} ${problem}`);
    else if (/\*.*\//u.test(String(pattern))) {
      report(15, at, `in ${show(pattern)} it matters whether * crosses "/": it does in tough only`, 'warning');
    }
  }
}

function problemOf(pattern: unknown): string | undefined {
  if (typeof pattern !== 'string' || !PATTERN.test(pattern)) {
    return 'is not of letters, digits, . _ - + / and the wildcards * and ?: tough refuses or reads differently what else it has';
  }
  const parts = pattern.split('/');
  if (parts.includes('')) return 'has an empty part: the clients that compare part by part find nothing behind it';
  if (parts.some((part) => part.startsWith('.'))) return 'has a part that starts with a dot: tuf-js hides those from *';
  return pattern.includes('**') ? 'has **, which crosses "/" in tuf-js and tough only' : undefined;
}

/** True when a pattern covers a target, by the narrowest reading: `*` and `?` stay within a part. */
export function covers(patterns: readonly string[], path: string): boolean {
  const parts = path.split('/');
  return patterns.some((pattern) => {
    const wanted = pattern.split('/');
    return wanted.length === parts.length && wanted.every((part, index) => coversPart(part, parts[index] ?? ''));
  });
}

/** Goes back to the last `*` only, so its time is at most the product of the lengths, whatever the pattern. */
function coversPart(pattern: string, text: string): boolean {
  let at = 0;
  let wanted = 0;
  let star: { readonly after: number; taken: number } | undefined;
  while (at < text.length) {
    if (pattern[wanted] === '*') {
      wanted += 1;
      star = { after: wanted, taken: at };
    } else if (pattern[wanted] === '?' || pattern[wanted] === text[at]) {
      wanted += 1;
      at += 1;
    } else if (star !== undefined) {
      star.taken += 1;
      at = star.taken;
      wanted = star.after;
    } else return false;
  }
  return pattern.slice(wanted).replaceAll('*', '') === '';
}
