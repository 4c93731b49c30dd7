/**
 * Keys in AWS as URLs, in tuftool's grammar: `aws-kms://PROFILE/KEY-ID` and `aws-ssm://PROFILE/PARAMETER?kms-key-id=KEY-ID`.
 *
 * Rules:
 * - PROFILE is one of the AWS configuration files; without it (three slashes) AWS's own variables, default profile or instance decide,
 *   for the region and the endpoint as well;
 * - KEY-ID is a key's id, its alias, or the ARN of either;
 * - nothing is escaped, because tuftool takes profile and path as they stand: what would have to be is refused, and so is what a parser
 *   of URLs would read as something else (`..`, a port, a name of a user).
 */
import { badReference } from '../reference.ts';

export interface KmsReference {
  readonly profile?: string;
  readonly keyId: string;
}

export interface SsmReference {
  readonly profile?: string;
  /** With the slash in front. */
  readonly parameter: string;
  /** What KMS encrypts the parameter with when it is written; without it, AWS's own key for SSM. */
  readonly kmsKeyId?: string;
}

const PROFILE = "[\\w.+=,~!$&'()*;-]{1,128}";
const KEY = '(?:alias/[\\w/-]{1,250}|[A-Za-z0-9][\\w-]{0,127})';
const REGION = '[a-z]{2}(?:-[a-z]+)+-\\d{1,2}';
const KEY_ID = new RegExp(`^(?:${KEY}|arn:aws[a-z-]*:kms:(${REGION}):\\d{12}:(?:key/[\\w-]{1,128}|alias/[\\w/-]{1,250}))$`, 'u');
const KMS_URL = new RegExp(`^aws-kms://(${PROFILE})?/([^?#]+)$`, 'u');
// A parameter has at most 15 levels; behind the colon is a version, or a label of one.
const SSM_URL = new RegExp(
  `^aws-ssm://(${PROFILE})?((?:/(?!\\.{1,2}(?:/|$))[\\w.-]{1,512}){1,15}(?::[\\w.-]{1,100})?)(?:\\?kms-key-id=([^&#]+))?$`,
  'u',
);

/** @throws GantryError `keys/bad-reference` */
export function parseKmsUrl(url: string): KmsReference {
  const [, profile, keyId = ''] = KMS_URL.exec(url) ?? [];
  if (!KEY_ID.test(keyId))
    throw badReference(url, 'expected aws-kms://PROFILE/KEY-ID, with an id, alias/NAME or an ARN, or aws-kms:///KEY-ID');
  return { keyId, ...(profile === undefined ? {} : { profile }) };
}

export function kmsUrl({ profile = '', keyId }: KmsReference): string {
  return `aws-kms://${profile}/${keyId}`;
}

/** @throws GantryError `keys/bad-reference` */
export function parseSsmUrl(url: string): SsmReference {
  const [match, profile, parameter = '', query] = SSM_URL.exec(url) ?? [];
  const kmsKeyId = query === undefined ? undefined : formDecoded(query);
  if (match === undefined || (kmsKeyId !== undefined && !KEY_ID.test(kmsKeyId))) {
    throw badReference(url, 'expected aws-ssm://PROFILE/PARAMETER or aws-ssm:///PARAMETER, with ?kms-key-id=KEY-ID behind it or nothing');
  }
  return { parameter, ...(profile === undefined ? {} : { profile }), ...(kmsKeyId === undefined ? {} : { kmsKeyId }) };
}

export function ssmUrl({ profile = '', parameter, kmsKeyId }: SsmReference): string {
  // Nothing in a key's id needs to be escaped in a query.
  return `aws-ssm://${profile}${parameter}${kmsKeyId === undefined ? '' : `?kms-key-id=${kmsKeyId}`}`;
}

/** The region that an ARN names. */
export function regionOf(keyId: string): string | undefined {
  return KEY_ID.exec(keyId)?.[1];
}

/** A value of a query, where tuftool undoes escapes. */
function formDecoded(value: string): string {
  return new URLSearchParams(`v=${value}`).get('v') ?? '';
}
