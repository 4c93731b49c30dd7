/**
 * A draft on its way: one JSON file with all that a key holder needs to understand it, to verify it and to sign it, offline.
 *
 * Rules:
 * - it holds the root chain and what the draft was computed from, so that its meaning can be computed where the store is out of reach;
 * - nothing of it is believed: the reader's own roots decide which of its roots count, those decide which base counts, and each
 *   signature is verified before it is kept;
 * - it is bounded: 128 MiB, 100 levels, 1024 roots; the images that it names are not in it.
 */
import { z } from 'zod';
import { GantryError, isGantryError } from '../errors.ts';
import { emptyManifest, parseManifest } from '../release/manifest.ts';
import { sha256Hex } from '../tuf/hash.ts';
import { isNestedDeeper, MAX_DEPTH } from '../tuf/portable-json.ts';
import { parseEnvelope, readSignedRole, sealEnvelope } from '../tuf/role.ts';
import type { Envelope, Root, SignedRole } from '../tuf/types.ts';
import type { Draft } from './draft.ts';
import { decodeDraft, DRAFT_MAX_BYTES, encodeDraft, type DraftedRepository } from './draft-file.ts';
import { extendRootChain, type RootChain } from './root-chain.ts';
import { trustRepository, withDelegated, type PublishedRoles, type TrustedRepository } from './trusted.ts';

const FORMAT = 1;
const MAX_ROOTS = 1024;

interface Common {
  /** Whose workspace it comes from, as in `gantry.toml`. */
  readonly product: string;
  /** From the first to the newest; empty before the first root is complete. */
  readonly roots: readonly SignedRole<Root>[];
}

export interface RootParcel extends Common {
  readonly kind: 'root';
  readonly root: Envelope<Root>;
}

export interface RepositoryParcel extends Common {
  readonly kind: 'repository';
  readonly repository: DraftedRepository;
  readonly draft: Draft;
  /** What was live when it was drafted; absent before the first publication. */
  readonly base?: { readonly roles: PublishedRoles; readonly manifest: Uint8Array; readonly delegated: TrustedRepository['delegated'] };
}

export type Parcel = RootParcel | RepositoryParcel;

const json = z.record(z.string(), z.unknown());
const common = { format: z.literal(FORMAT), product: z.string().min(1).max(200), roots: z.array(z.string()).max(MAX_ROOTS) };
const schema = z.discriminatedUnion('kind', [
  z.object({ ...common, kind: z.literal('root'), root: json }),
  z.object({
    ...common,
    kind: z.literal('repository'),
    draft: json,
    base: z
      .object({
        targets: z.string(),
        snapshot: z.string(),
        timestamp: z.string(),
        manifest: z.string(),
        delegated: z.record(z.string(), z.string()).optional(),
      })
      .optional(),
  }),
]);

/** UTF-8 JSON, format 1. Files whose bytes matter are in it as text. */
export function encodeParcel(parcel: Parcel): Uint8Array {
  const { kind, product, roots } = parcel;
  const head = { format: FORMAT, kind, product, roots: roots.map(({ bytes }) => textOf(bytes)) };
  const file =
    parcel.kind === 'root'
      ? { ...head, root: jsonOf(sealEnvelope(parcel.root).bytes) }
      : { ...head, draft: jsonOf(encodeDraft(parcel.draft, parcel.repository)), ...encodeBase(parcel.base) };
  return Buffer.from(`${JSON.stringify(file, undefined, 2)}\n`, 'utf8');
}

function encodeBase(base: RepositoryParcel['base']): object {
  if (base === undefined) return {};
  const { targets, snapshot, timestamp } = base.roles;
  const text = { targets: textOf(targets.bytes), snapshot: textOf(snapshot.bytes), timestamp: textOf(timestamp.bytes) };
  const delegated = Object.fromEntries([...base.delegated].map(([name, file]) => [name, textOf(file.bytes)]));
  return { base: { ...text, manifest: textOf(base.manifest), ...(base.delegated.size === 0 ? {} : { delegated }) } };
}

/** @throws GantryError `repository/bad-draft`, whatever the bytes are */
export function decodeParcel(bytes: Uint8Array): Parcel {
  try {
    return parse(bytes);
  } catch (cause) {
    if (!isGantryError(cause) || cause.code === 'repository/bad-draft') throw cause;
    throw badParcel('the file', cause.message, cause);
  }
}

function parse(bytes: Uint8Array): Parcel {
  if (bytes.length > DRAFT_MAX_BYTES) throw badParcel('the file', `it has ${bytes.length} bytes; expected at most ${DRAFT_MAX_BYTES}`);
  if (isNestedDeeper(bytes, MAX_DEPTH)) throw badParcel('the file', `it is nested deeper than ${MAX_DEPTH} levels`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw badParcel('the file', 'it is not JSON; expected what gantry draft export writes', cause);
  }
  const result = schema.safeParse(value);
  if (!result.success) {
    const [issue] = result.error.issues;
    const at = issue?.path.join('.') ?? '';
    throw badParcel(at === '' ? 'the file' : at, issue?.message ?? 'it has another shape', result.error);
  }
  const { data } = result;
  const roots = data.roots.map((text) => readSignedRole(Buffer.from(text, 'utf8'), 'root'));
  const head = { product: data.product, roots };
  if (data.kind === 'root') return { ...head, kind: 'root', root: parseEnvelope(Buffer.from(JSON.stringify(data.root)), 'root') };
  const { draft, repository } = decodeDraft(Buffer.from(JSON.stringify(data.draft)));
  const { base } = data;
  if (base === undefined) return { ...head, kind: 'repository', draft, repository };
  const file = <N extends 'targets' | 'snapshot' | 'timestamp'>(name: N): ReturnType<typeof readSignedRole<N>> =>
    readSignedRole(Buffer.from(base[name], 'utf8'), name);
  const roles = { targets: file('targets'), snapshot: file('snapshot'), timestamp: file('timestamp') };
  const delegated = new Map(
    Object.entries(base.delegated ?? {}).map(([name, text]) => [name, readSignedRole(Buffer.from(text, 'utf8'), 'targets')]),
  );
  return { ...head, kind: 'repository', draft, repository, base: { roles, manifest: Buffer.from(base.manifest, 'utf8'), delegated } };
}

/**
 * The reader's own chain with the newer roots of a parcel.
 *
 * @throws GantryError `repository/root-chain` when the parcel comes from another root chain, `tuf/threshold`
 */
export function chainWith(own: RootChain, roots: readonly SignedRole<Root>[]): RootChain {
  let chain = own;
  for (const root of roots.toSorted((a, b) => a.role.version - b.role.version)) {
    const { version } = root.role;
    const ours = chain.roots.find(({ role }) => role.version === version);
    if (ours !== undefined && ours.sha256 !== root.sha256) {
      throw new GantryError(
        'repository/root-chain',
        `Cannot use the draft: its ${version}.root.json is another file (SHA-256 ${root.sha256}); expected this workspace's own (${ours.sha256})`,
        { version },
      );
    }
    if (ours === undefined && version > own.latest.role.version) chain = extendRootChain(chain, root);
  }
  return chain;
}

/**
 * What a draft was computed from, verified.
 *
 * @throws GantryError `tuf/threshold`, `repository/mismatch`, `repository/bad-draft` when it is not the base that the draft names
 */
export function trustedBase({ draft, base }: RepositoryParcel, chain: RootChain): TrustedRepository {
  const named = draft.base.timestamp;
  if (base === undefined) {
    if (named !== undefined) throw badParcel('base', 'it is missing, and the draft names one');
    return trustRepository(chain, emptyManifest());
  }
  const { roles } = base;
  if (named?.sha256 !== roles.timestamp.sha256) throw badParcel('base', 'it is another one than the draft names');
  const entry = roles.targets.role.targets['manifest.json'];
  if (entry !== undefined && sha256Hex(base.manifest) !== entry.hashes.sha256) {
    throw badParcel('base.manifest', 'it is not the file that was signed');
  }
  const manifest = entry === undefined ? emptyManifest() : parseManifest(base.manifest);
  return withDelegated(
    firstThatVerifies(chain, (root) => trustRepository(chain, manifest, { root, published: roles })),
    base.delegated,
  );
}

/** What is live was signed under the root that was live then; newer ones may be signed and not published yet. */
function firstThatVerifies(chain: RootChain, trust: (root: Root) => TrustedRepository): TrustedRepository {
  for (const { role } of chain.roots.toReversed()) {
    try {
      return trust(role);
    } catch (error) {
      if (!isGantryError(error, 'tuf/threshold') || role === chain.roots[0]?.role) throw error;
    }
  }
  return trust(chain.latest.role);
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}

function jsonOf(bytes: Uint8Array): unknown {
  return JSON.parse(textOf(bytes));
}

function badParcel(at: string, problem: string, cause?: unknown): GantryError {
  return new GantryError('repository/bad-draft', `Cannot read the draft file: ${at}: ${problem}`, { at }, { cause });
}
