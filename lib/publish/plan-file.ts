/**
 * A plan as a file: what a publication will write, the live state that it was computed from, and the signed draft behind it.
 *
 * The list of writes is for people and programs that look before it is carried out. What is carried out is computed again from the
 * draft and from what is live then, and must be what the file says (docs/formats.md has the format).
 */
import { z } from 'zod';
import { GantryError, quote } from '../errors.ts';
import type { Draft } from '../repository/draft.ts';
import { decodeDraft, encodeDraft } from '../repository/draft-file.ts';
import { cacheControlOf } from '../store/cache-control.ts';
import { tufDate } from '../tuf/date.ts';
import type { RepositoryName } from '../workspace/config.ts';
import type { PlanBase, PlannedWrite, PublicationPlan } from './plan.ts';

const FORMAT = 1;

/** What the file says about one object. */
export interface StatedWrite {
  readonly kind: PlannedWrite['kind'];
  readonly path: string;
  readonly length: number;
  readonly sha256: string;
  /** `absent`, or the store's token of what is replaced. */
  readonly expect: string;
  readonly cacheControl: string;
  readonly contentType: string;
}

/** The plan of one repository. */
export interface StatedPlan {
  readonly repository: RepositoryName;
  readonly base: PlanBase;
  readonly writes: readonly StatedWrite[];
  /** Absent when only roots are published. */
  readonly draft?: Draft;
}

export interface PlanFile {
  /** What the store is called. */
  readonly store: string;
  readonly plans: readonly StatedPlan[];
}

const version = z.int().min(1);
const writeSchema = z.object({
  kind: z.enum(['root', 'target', 'role', 'timestamp']),
  path: z.string(),
  length: z.int().min(0),
  sha256: z.string(),
  expect: z.string(),
  cacheControl: z.string(),
  contentType: z.string(),
});
const fileSchema = z.object({
  format: z.literal(FORMAT),
  store: z.string(),
  repositories: z
    .array(
      z.object({
        variant: z.string(),
        arch: z.string(),
        base: z.object({
          roots: z.int().min(0),
          timestamp: z.object({ timestamp: version, snapshot: version, targets: version, storeVersion: z.string() }).optional(),
        }),
        writes: z.array(writeSchema).min(1),
        draft: z.record(z.string(), z.unknown()).optional(),
      }),
    )
    .min(1),
});

/** UTF-8 JSON, format 1. */
export function encodePlans({ store, plans }: PlanFile, now: Date): Uint8Array {
  const repositories = plans.map(({ repository, base, writes, draft }) => ({
    ...repository,
    base,
    writes,
    ...(draft === undefined ? {} : { draft: JSON.parse(Buffer.from(encodeDraft(draft, repository)).toString('utf8')) as unknown }),
  }));
  return Buffer.from(`${JSON.stringify({ format: FORMAT, made: tufDate(now), store, repositories }, undefined, 2)}\n`, 'utf8');
}

/** @param path of the file, for messages; @throws GantryError `publish/bad-plan`, `repository/bad-draft` */
export function decodePlans(bytes: Uint8Array, path: string): PlanFile {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw badPlan(path, 'the file', 'it is not JSON; expected what gantry publish --plan FILE writes', cause);
  }
  const result = fileSchema.safeParse(parsed);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw badPlan(path, issue?.path.join('.') ?? 'the file', issue?.message ?? 'it has another shape', result.error);
  }
  const plans = result.data.repositories.map(({ variant, arch, base, writes, draft }) => ({
    repository: { variant, arch },
    // Compared with what the store says, never used for anything else.
    base: base as PlanBase,
    writes,
    ...(draft === undefined ? {} : { draft: decodeDraft(Buffer.from(JSON.stringify(draft))).draft }),
  }));
  return { store: result.data.store, plans };
}

/** What a plan says in a file. */
export function statePlan({ repository, base, writes }: PublicationPlan, draft: Draft | undefined): StatedPlan {
  return { repository, base, writes: writes.map(stateWrite), ...(draft === undefined ? {} : { draft }) };
}

function stateWrite({ kind, path, lengthBytes, sha256, expect, cacheClass, contentType }: PlannedWrite): StatedWrite {
  return {
    kind,
    path,
    length: lengthBytes,
    sha256,
    expect: expect === 'absent' ? expect : expect.version,
    cacheControl: cacheControlOf(cacheClass),
    contentType,
  };
}

/**
 * Roots that are there by now were written by this publication before it was cut off.
 *
 * @throws GantryError `publish/bad-plan` when the file says something else than its draft makes of what is live
 */
export function assertPlanHolds(stated: StatedPlan, plan: PublicationPlan, file: string): void {
  const missingRoots = new Set<string>(plan.writes.map(({ path }) => path));
  const expected = stated.writes.filter(({ kind, path }) => kind !== 'root' || missingRoots.has(path));
  const found = plan.writes.map(stateWrite);
  const at = found.findIndex((write, index) => JSON.stringify(write) !== JSON.stringify(expected[index]));
  const place = at >= 0 ? found[at]?.path : expected[found.length]?.path;
  if (place === undefined) return;
  throw badPlan(
    file,
    'writes',
    `${quote(place)} is not what its signed metadata makes of what is live; expected the plan as gantry wrote it`,
  );
}

function badPlan(path: string, at: string, problem: string, cause?: unknown): GantryError {
  return new GantryError('publish/bad-plan', `Cannot use the plan ${quote(path)}: ${at}: ${problem}`, { path, at }, { cause });
}
