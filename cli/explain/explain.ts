/** Every finding and every error code in plain words. The type checker misses a code that has none. */
import type { ErrorCode } from '../../lib/errors.ts';
import { doctorRules } from '../../lib/publish/doctor/rules.ts';
import { releaseRules } from '../../lib/release/lint.ts';
import { portabilityRules } from '../../lib/tuf/lint/rules.ts';
import { plainHint } from '../ui/hints.ts';
import { contentErrors } from './content.ts';
import { machineErrors } from './machine.ts';
import { placeErrors } from './places.ts';

/** What it means, why it is an error, and what to do where the hint depends on the case. */
export type Explained = readonly [means: string, why: string, fix?: string];

export interface Explanation {
  readonly id: string;
  readonly kind: 'release-finding' | 'portability-finding' | 'doctor-finding' | 'error';
  readonly means: string;
  readonly why: string;
  readonly fix: string;
}

const ERRORS: Readonly<Record<ErrorCode, Explained>> = { ...machineErrors, ...contentErrors, ...placeErrors };

function ofRules(
  kind: Explanation['kind'],
  rules: Iterable<{ readonly id: string; readonly wants: string; readonly who: string; readonly fix: string }>,
): readonly Explanation[] {
  return Array.from(rules, ({ id, wants, who, fix }): Explanation => ({
    id,
    kind,
    means: `the rule wants ${wants.replaceAll('`', '')}`,
    why: `who stumbles otherwise: ${who.replaceAll('`', '')}`,
    fix: fix.replaceAll('`', ''),
  }));
}

/** In the order of the documentation: findings of releases, of metadata, of servers, then error codes. */
export const explanations: readonly Explanation[] = [
  ...ofRules('release-finding', releaseRules),
  ...ofRules('portability-finding', portabilityRules.values()),
  ...ofRules('doctor-finding', doctorRules),
  // Proof: the entries of a record of error codes.
  ...(Object.entries(ERRORS) as [ErrorCode, Explained][]).map(([id, [means, why, fix]]): Explanation => ({
    id,
    kind: 'error',
    means,
    why,
    fix: fix ?? plainHint(id) ?? 'there is nothing to do',
  })),
];
