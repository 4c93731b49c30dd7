/**
 * The policies in `repo-layout/aws/`, filled in, and what they allow: a small part of how AWS decides, enough for what they use.
 *
 * Rules: what is not allowed is denied, and a denial wins; `*` stands for anything, slashes included.
 */
import { readFileSync } from 'node:fs';

export interface Statement {
  readonly Sid: string;
  readonly Effect: 'Allow' | 'Deny';
  readonly Principal?: { readonly Federated: string };
  readonly Action: readonly string[];
  readonly Resource?: readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
}

export interface Policy {
  readonly Version: string;
  readonly Statement: readonly Statement[];
}

export const POLICY_NAMES = ['publisher', 'gc', 'signer', 'reader'] as const;
export const TRUST_NAMES = ['trust-github', 'trust-gitlab'] as const;
export const KEY_POLICY_NAMES = ['kms-key', 'ssm-key'] as const;
export type PolicyName = (typeof POLICY_NAMES | typeof TRUST_NAMES | typeof KEY_POLICY_NAMES)[number];

export function policyText(name: PolicyName): string {
  return readFileSync(new URL(`../../repo-layout/aws/${name}.json`, import.meta.url), 'utf8');
}

/** Filled in as the documentation says: with a bucket and a prefix. */
export function policyFor(name: PolicyName, bucket: string, prefix: string): Policy {
  const policy: Policy = JSON.parse(policyText(name).replaceAll('BUCKET', bucket).replaceAll('PREFIX', prefix));
  return policy;
}

/** @param resource without `arn:aws:s3:::`: `bucket` or `bucket/key` */
export function allows({ Statement }: Policy, action: string, resource: string): boolean {
  const meant = Statement.filter(
    ({ Action, Resource = [] }) => Action.includes(action) && Resource.some((pattern) => matches(pattern, `arn:aws:s3:::${resource}`)),
  );
  return meant.some(({ Effect }) => Effect === 'Allow') && !meant.some(({ Effect }) => Effect === 'Deny');
}

/** The policy with no statement that allows this action any more. */
export function without(policy: Policy, action: string): Policy {
  const rest = policy.Statement.map((statement) => ({ ...statement, Action: statement.Action.filter((one) => one !== action) }));
  return { ...policy, Statement: rest.filter(({ Action }) => Action.length > 0) };
}

function matches(pattern: string, text: string): boolean {
  const parts = pattern.split('*').map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/gu, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 'u').test(text);
}
