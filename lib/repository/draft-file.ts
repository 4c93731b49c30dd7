/**
 * A draft as one JSON file in a workspace: readable by people, checked when it is read, and it says for which repository it is.
 *
 * The file is not trusted: its signatures are verified against the root chain whenever they are counted. `parcel.ts` has the form that
 * leaves the workspace.
 */
import { z } from 'zod';
import { GantryError } from '../errors.ts';
import { parseEnvelope } from '../tuf/role.ts';
import type { TopRoleName } from '../tuf/types.ts';
import { isNestedDeeper, MAX_DEPTH } from '../tuf/portable-json.ts';
import type { Draft } from './draft.ts';

const FORMAT = 2;
/** As long as its targets role may be, and as much again for what is around it. */
export const DRAFT_MAX_BYTES: number = 128 << 20;
const sha256 = z.string().regex(/^[0-9a-f]{64}$/u);
const version = z.int().min(1);
const json: z.ZodType<Record<string, unknown>> = z.record(z.string(), z.unknown());
const images = z.object({ boot: z.string(), root: z.string(), hash: z.string() });

const waves = z.record(z.string().regex(/^\d+$/u), z.string());
const moment = z.iso.datetime({ offset: true });
const update = z.object({ variant: z.string(), arch: z.string(), version: z.string() });

const keyId = z.string().regex(/^[0-9a-f]{64}$/u);
// What is a key is decided where it is used: the drafted role must be portable.
const publicKey = z.object({ keytype: z.string(), scheme: z.string(), keyval: z.object({ public: z.string() }) });
const signers = { keys: z.record(keyId, publicKey), threshold: version };

const changeSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('put-target'),
    path: z.string(),
    file: z.looseObject({ length: z.int().min(0), hashes: z.object({ sha256 }), custom: json.optional() }),
    role: z.string().optional(),
  }),
  z.object({ kind: z.literal('remove-target'), path: z.string(), role: z.string().optional() }),
  z.object({ kind: z.literal('add-delegation'), name: z.string(), paths: z.array(z.string()), terminating: z.boolean(), ...signers }),
  z.object({ kind: z.literal('remove-delegation'), name: z.string() }),
  z.object({ kind: z.literal('replace-delegation-key'), name: z.string(), from: keyId, to: keyId, key: publicKey }),
  z.object({ kind: z.literal('set-delegation-threshold'), name: z.string(), threshold: version }),
  z.object({ kind: z.literal('split-targets'), bins: z.int(), ...signers }),
  z.object({ kind: z.literal('renew-delegated'), name: z.string() }),
  z.object({ kind: z.literal('renew-targets') }),
  z.object({ kind: z.literal('renew-timestamp') }),
  z.object({
    kind: z.literal('add-update'),
    update: update.extend({
      images,
      imagesZstd: images.optional(),
      waves: waves.optional(),
      intended: waves.optional(),
      maxVersion: z.string().optional(),
      severity: z.string().optional(),
      notes: z.string().optional(),
      migrations: z.array(z.string()).optional(),
    }),
  }),
  z.object({ kind: z.literal('remove-update'), update }),
  z.object({ kind: z.literal('set-waves'), update, waves, intended: waves.optional() }),
  z.object({ kind: z.literal('pause-waves'), update, from: moment, at: moment }),
  z.object({ kind: z.literal('resume-waves'), update, from: moment, at: moment }),
  z.object({ kind: z.literal('accelerate-waves'), update, from: moment, at: moment, factor: z.number().gt(1) }),
  z.object({ kind: z.literal('recall'), update, to: z.string(), at: moment }),
  z.object({ kind: z.literal('set-migrations'), migrations: z.record(z.string(), z.array(z.string())) }),
]);

const draftSchema = z.object({
  format: z.literal(FORMAT),
  repository: z.object({ variant: z.string(), arch: z.string() }),
  base: z.object({ rootVersion: version, timestamp: z.object({ version, sha256 }).optional() }),
  changes: z.array(changeSchema),
  versions: z.object({ targets: version, snapshot: version, timestamp: version, delegated: z.record(z.string(), version).optional() }),
  roles: z.object({
    targets: json.optional(),
    snapshot: json.optional(),
    timestamp: json.optional(),
    delegated: z.record(z.string(), json).optional(),
  }),
  manifest: z.string().optional(),
});

/** Which repository a draft is for. */
export interface DraftedRepository {
  readonly variant: string;
  readonly arch: string;
}

/** The file of a draft: UTF-8 JSON, format 2. */
export function encodeDraft(draft: Draft, { variant, arch }: DraftedRepository): Uint8Array {
  const { manifest, ...rest } = draft;
  const file = {
    format: FORMAT,
    repository: { variant, arch },
    ...rest,
    ...(manifest === undefined ? {} : { manifest: Buffer.from(manifest).toString('utf8') }),
  };
  return Buffer.from(`${JSON.stringify(file, undefined, 2)}\n`, 'utf8');
}

/** @throws GantryError `repository/bad-draft`, `tuf/…` */
export function decodeDraft(bytes: Uint8Array): { readonly draft: Draft; readonly repository: DraftedRepository } {
  if (bytes.length > DRAFT_MAX_BYTES) throw badDraft('the file', `it has ${bytes.length} bytes; expected at most ${DRAFT_MAX_BYTES}`);
  if (isNestedDeeper(bytes, MAX_DEPTH)) throw badDraft('the file', `it is nested deeper than ${MAX_DEPTH} levels`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw badDraft('the file', 'it is not JSON; expected a draft that gantry wrote', cause);
  }
  const result = draftSchema.safeParse(parsed);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw badDraft(issue?.path.join('.') ?? 'the file', issue?.message ?? 'it has another shape', result.error);
  }
  const { format: _, repository, manifest, roles, ...rest } = result.data;
  const role = (name: TopRoleName, value: unknown): object =>
    value === undefined ? {} : { [name]: parseEnvelope(Buffer.from(JSON.stringify(value)), name) };
  // The schema and the envelope parser checked every member that the type names.
  const draft = {
    ...rest,
    roles: {
      ...role('targets', roles.targets),
      ...role('snapshot', roles.snapshot),
      ...role('timestamp', roles.timestamp),
      ...(roles.delegated === undefined ? {} : { delegated: delegatedRoles(roles.delegated) }),
    },
    ...(manifest === undefined ? {} : { manifest: new TextEncoder().encode(manifest) }),
  } as unknown as Draft;
  return { draft, repository };
}

function delegatedRoles(roles: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(
    Object.entries(roles).map(([name, value]) => [name, parseEnvelope(Buffer.from(JSON.stringify(value)), 'targets')]),
  );
}

function badDraft(at: string, problem: string, cause?: unknown): GantryError {
  return new GantryError('repository/bad-draft', `Cannot read a draft: ${at}: ${problem}`, { at }, { cause });
}
