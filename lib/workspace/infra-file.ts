/**
 * `Infra.toml` of pubsys (Bottlerocket's twoliter): where its repositories are, and where the key is that signs them.
 *
 * What belongs to other jobs of pubsys (`vmware`, `vendor`, regions for images) is passed over.
 */
import { z } from 'zod';
import { GantryError, quote } from '../errors.ts';
import { parseToml } from '../release/toml.ts';

const text = z.string().min(1);
const key = z.union([
  z.object({ file: z.object({ path: text }) }),
  z.object({ kms: z.object({ key_id: text.optional(), key_alias: text.optional() }) }),
  z.object({ ssm: z.object({ parameter: text }) }),
]);
const repository = z.object({
  metadata_base_url: text.optional(),
  targets_url: text.optional(),
  root_role_url: text.optional(),
  root_role_sha512: z
    .string()
    .regex(/^[0-9a-fA-F]{128}$/u)
    .optional(),
  signing_keys: key.optional(),
});
const schema = z.object({ repo: z.record(z.string(), repository).optional(), aws: z.object({ profile: text.optional() }).optional() });

export interface InfraRepository {
  /** Ends in a slash. */
  readonly metadataBaseUrl?: string;
  readonly targetsUrl?: string;
  readonly rootUrl?: string;
  readonly rootSha512?: string;
  /** What `gantry key import NAME` takes: a path, or a URL. */
  readonly signingKey?: string;
}

/**
 * @param name of `[repo.NAME]`
 * @throws GantryError `release/bad-toml`, `workspace/bad-config`
 */
export function parseInfraFile(content: string, path: string, name: string): InfraRepository {
  const result = schema.safeParse(parseToml(content, path).table);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw badInfra(path, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'it has another shape'}`, result.error);
  }
  const { repo = {}, aws } = result.data;
  const found = repo[name];
  if (found === undefined) {
    const names = Object.keys(repo).map(quote).join(', ');
    throw badInfra(path, `it has no [repo.${name}]; expected ${names === '' ? 'one' : `one of ${names}`}`);
  }
  const {
    metadata_base_url: base,
    targets_url: targetsUrl,
    root_role_url: rootUrl,
    root_role_sha512: rootSha512,
    signing_keys: keys,
  } = found;
  const signingKey = keys === undefined ? undefined : placeOf(keys, aws?.profile ?? '');
  return {
    ...(base === undefined ? {} : { metadataBaseUrl: base.endsWith('/') ? base : `${base}/` }),
    ...(targetsUrl === undefined ? {} : { targetsUrl }),
    ...(rootUrl === undefined ? {} : { rootUrl }),
    ...(rootSha512 === undefined ? {} : { rootSha512: rootSha512.toLowerCase() }),
    ...(signingKey === undefined ? {} : { signingKey }),
  };
}

function placeOf(keys: z.infer<typeof key>, profile: string): string | undefined {
  if ('file' in keys) return keys.file.path;
  if ('ssm' in keys) return `aws-ssm://${profile}/${keys.ssm.parameter.replace(/^\//u, '')}`;
  const { key_id: id, key_alias: alias } = keys.kms;
  return id === undefined && alias === undefined ? undefined : `aws-kms://${profile}/${id ?? alias ?? ''}`;
}

function badInfra(path: string, problem: string, cause?: unknown): GantryError {
  return new GantryError('workspace/bad-config', `Cannot use ${quote(path)}: ${problem}`, { path, at: 'repo' }, { cause });
}
