/** Collecting findings, and the small questions that several rules ask. */
import { quote, type LintFinding } from '../../errors.ts';
import { portabilityRule } from './rules.ts';

/** @param rule its number */
export type Report = (rule: number, at: string, message: string, severity?: LintFinding['severity']) => void;

/** Runs a check and returns what it reported, in order. */
export function collect(check: (report: Report) => void): readonly LintFinding[] {
  const findings: LintFinding[] = [];
  check((number, at, message, severity = 'error') => {
    const { id, fix } = portabilityRule(number);
    findings.push({ rule: id, severity, at, message, fix });
  });
  return findings;
}

export type Members = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The members of an object; none for anything else. */
export function membersOf(value: unknown): readonly (readonly [string, unknown])[] {
  return isObject(value) ? Object.entries(value) : [];
}

export function member(at: string, name: string): string {
  return `${at}[${quote(name)}]`;
}

export function unknownMembers(value: Members, known: readonly string[]): readonly string[] {
  return Object.keys(value).filter((name) => !known.includes(name));
}
