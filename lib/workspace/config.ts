/** `gantry.toml`: what a workspace is about. Paths in it are relative to the file. */
import { z } from 'zod';
import { GantryError, quote } from '../errors.ts';
import { checkName } from '../release/names.ts';
import { parseToml, placeText } from '../release/toml.ts';

/** One TUF repository: a variant for an architecture. */
export interface RepositoryName {
  readonly variant: string;
  readonly arch: string;
}

/** The `[s3]` table: how a bucket is reached, and how objects are written to it. */
export interface BucketSettings {
  readonly region?: string;
  /** Of a server that is not AWS. */
  readonly endpoint?: string;
  readonly pathStyle?: boolean;
  readonly profile?: string;
  readonly encryption?: { readonly algorithm: 'AES256' | 'aws:kms'; readonly kmsKeyId?: string };
  readonly acl?: string;
}

export interface WorkspaceConfig {
  /** First part of every image target's name. */
  readonly product: string;
  /** A directory, absolute or relative to the workspace, `s3://BUCKET/PREFIX`, or `command`. */
  readonly store: string;
  /** Where hosts reach the store: `VARIANT/ARCH/timestamp.json` and `targets/` lie below it. */
  readonly url?: string;
  readonly repositories: readonly RepositoryName[];
  /** How the bucket is reached and written to, when the store is one. */
  readonly s3?: BucketSettings;
  /** Of compressed images that are kept for the next release; 0 keeps none. */
  readonly cacheMaxBytes?: number;
  /** The program that uploads, when the store is `command`. */
  readonly command?: { readonly program: readonly string[] };
}

const schema = z.strictObject({
  product: z.string(),
  store: z.string().min(1),
  url: z.url({ protocol: /^https?$/u }).optional(),
  command: z.strictObject({ program: z.array(z.string().min(1)).min(1) }).optional(),
  cache: z
    .strictObject({
      max_gib: z
        .number()
        .nonnegative()
        .max(2 ** 20),
    })
    .optional(),
  s3: z
    .strictObject({
      region: z.string().min(1).optional(),
      endpoint: z.url({ protocol: /^https?$/u }).optional(),
      path_style: z.boolean().optional(),
      profile: z.string().min(1).optional(),
      encryption: z.enum(['AES256', 'aws:kms']).optional(),
      kms_key_id: z.string().min(1).optional(),
      acl: z.string().min(1).optional(),
    })
    .optional(),
  repository: z.array(z.strictObject({ variant: z.string(), arch: z.string() })).min(1),
});

/**
 * @param text the content of `gantry.toml`
 * @param path its path, for messages
 * @throws GantryError `release/bad-toml`, `workspace/bad-config` with the line and the member
 */
export function parseConfig(text: string, path: string): WorkspaceConfig {
  const document = parseToml(text, path);
  const result = schema.safeParse(document.table);
  if (!result.success) {
    const [issue] = result.error.issues;
    const member = (issue?.path ?? []).filter((step) => typeof step !== 'symbol');
    const at = `${placeText(document.placeOf(member))}${member.length === 0 ? '' : ` (${member.join('.')})`}`;
    throw badConfig(path, at, issue?.message ?? 'it has another shape', result.error);
  }
  const { product, store, url, command, repository, s3, cache } = result.data;
  const check = (what: 'product' | 'variant' | 'arch', name: string): string => {
    try {
      return checkName(what, name);
    } catch (cause) {
      throw badConfig(path, what, cause instanceof Error ? cause.message : String(cause), cause);
    }
  };
  check('product', product);
  const seen = new Set<string>();
  for (const { variant, arch } of repository) {
    const name = `${check('variant', variant)}/${check('arch', arch)}`;
    if (seen.has(name)) throw badConfig(path, 'repository', `${name} is there twice; expected each variant and arch once`);
    seen.add(name);
  }
  return {
    product,
    store,
    repositories: repository,
    ...(url === undefined ? {} : { url }),
    ...(command === undefined ? {} : { command }),
    ...(cache === undefined ? {} : { cacheMaxBytes: Math.floor(cache.max_gib * 2 ** 30) }),
    ...(s3 === undefined ? {} : { s3: s3Settings(s3) }),
  };
}

function s3Settings(table: NonNullable<z.infer<typeof schema>['s3']>): BucketSettings {
  const { path_style: pathStyle, encryption: algorithm, kms_key_id: kmsKeyId, ...plain } = table;
  const given = Object.entries({ ...plain, pathStyle }).filter(([, value]) => value !== undefined);
  const encryption = algorithm === undefined ? undefined : { algorithm, ...(kmsKeyId === undefined ? {} : { kmsKeyId }) };
  return { ...Object.fromEntries(given), ...(encryption === undefined ? {} : { encryption }) };
}

function badConfig(path: string, at: string, problem: string, cause?: unknown): GantryError {
  return new GantryError('workspace/bad-config', `Cannot read ${quote(path)}: ${at}: ${problem}`, { path, at }, { cause });
}
