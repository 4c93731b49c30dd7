/** Findings of the lints on the screen. */
import type { LintFinding } from '../../lib/errors.ts';
import { EXIT } from '../exit-codes.ts';
import type { Outcome } from '../program.ts';
import { count, wrapWords } from './format.ts';
import { paintResult, sign } from './style.ts';

/** Each with what to do about it. */
export function describeFindings(findings: readonly LintFinding[]): readonly string[] {
  return findings.flatMap(({ rule, severity, at, message, fix }) => {
    const mark = severity === 'error' ? paintResult('red', sign.failed) : paintResult('yellow', '!');
    return [wrapped(`${mark} ${rule}: ${at}: ${message}`), `    ${paintResult('dim', `fix: ${fix}`)}`];
  });
}

/** What is typed again, a fix, is left to the terminal: it copies as one line. */
function wrapped(line: string): string {
  return process.stdout.isTTY ? wrapWords(line, process.stdout.columns, '    ') : line;
}

/** @param shown what was found where; @param shown.looked how many of what were looked at */
export function findingsOutcome(
  findings: readonly LintFinding[],
  shown: { readonly json: object; readonly lines: readonly string[]; readonly looked: readonly [number, string] },
): Outcome {
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  const warnings = findings.length - errors;
  return {
    json: { ...shown.json, errors, warnings },
    lines: [
      ...shown.lines,
      ...(shown.lines.length === 0 ? [] : ['']),
      `${count(...shown.looked)}: ${count(errors, 'error')}, ${count(warnings, 'warning')}.`,
    ],
    exitCode: errors > 0 ? EXIT.input : EXIT.done,
  };
}
