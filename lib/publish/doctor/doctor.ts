/**
 * Examines a live repository as hosts and caches will meet it.
 *
 * Rules:
 * - it decides about the server, not about trust: no root is needed, no signature is checked;
 * - it only asks; every question goes over a connection of its own, and large files are never read whole;
 * - what is wrong is a finding; what leaves nothing to examine (nobody there, a wrong URL) is an error.
 */
import type { LintFinding } from '../../errors.ts';
import { folderUrl, TARGETS_FROM_METADATA } from '../../client/folder-url.ts';
import { checkedAuthorities } from '../../http/routes.ts';
import { judgeContentType, judgeImmutable, judgeTimestampCaching, TIMESTAMP_MAX_AGE_SECONDS } from './caching.ts';
import { greet, timestampIn, wrongUrl } from './contact.ts';
import { judgeCertificates, judgeExpiry } from './dates.ts';
import { askAgain, judgeClock, judgeVersions, type Sighting } from './edges.ts';
import { judgeMissing } from './missing.ts';
import { readObject, type ServedObject } from './objects.ts';
import { judgeQueries } from './queries.ts';
import { judgeRanges } from './ranges.ts';
import { collectFindings } from './rules.ts';
import { readRoots, readTree, type Roots, type Tree } from './tree.ts';
import { openVisit, type Visit } from './visit.ts';

export interface DoctorOptions {
  /** `../../targets/` from the metadata by default. */
  readonly targetsUrl?: string;
  /** PEM: the only certificate authorities that are trusted, in the place of those that this machine knows. */
  readonly ca?: Uint8Array;
  /** How often `timestamp.json` is asked for; 5 by default. */
  readonly probes?: number;
  /** How old a cache may let `timestamp.json` become, in seconds; 60 by default. */
  readonly maxTimestampAgeSeconds?: number;
  /** `VARIANT/ARCH` of repositories that may be meant when the URL is a wrong one. */
  readonly likely?: readonly string[];
  /** How long an answer may take, in milliseconds; 30 s by default. */
  readonly idleTimeoutMs?: number;
  readonly signal?: AbortSignal;
  /** This machine's clock by default. */
  readonly now?: () => Date;
  /** Told what comes next, in words for people. */
  readonly onStep?: (step: string) => void;
}

export interface DoctorReport {
  readonly findings: readonly LintFinding[];
  readonly requests: number;
  /** Versions of `timestamp.json` that were seen, in order. */
  readonly timestamps: readonly number[];
  /** The highest root that is served; 0 for none. */
  readonly root: number;
}

const PROBES = 5;

/**
 * @param url the folder of `timestamp.json`
 * @throws GantryError `http/…` when nobody answers, `store/missing` when the URL is a wrong one, `aborted`
 */
export async function examineRepository(url: string, options: DoctorOptions = {}): Promise<DoctorReport> {
  const { signal, idleTimeoutMs, ca, likely = [], now = () => new Date(), onStep = () => undefined } = options;
  const metadataUrl = folderUrl(url);
  const targetsUrl = options.targetsUrl === undefined ? new URL(TARGETS_FROM_METADATA, metadataUrl) : folderUrl(options.targetsUrl);
  const { report, all } = collectFindings();
  const settings = {
    ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
    ...(ca === undefined ? {} : { ca: checkedAuthorities(ca) }),
  };
  const contact = { metadataUrl, report, signal, likely, ...settings };
  const { certificate, requests } = await greet(contact);
  if (certificate === undefined) return { findings: all(), requests, timestamps: [], root: 0 };
  const visit = openVisit({ metadataUrl, targetsUrl, certificate, report, now, requests, signal, ...settings });
  const timestampUrl = new URL('timestamp.json', metadataUrl);
  const { probes = PROBES, maxTimestampAgeSeconds = TIMESTAMP_MAX_AGE_SECONDS } = options;
  onStep(`Asking for timestamp.json (${probes} times)`);
  const object = await readObject(visit, timestampUrl, 'timestamp');
  if (object === undefined) return { findings: all(), requests: visit.requests(), timestamps: [], root: 0 };
  const file = timestampIn(object.body);
  if (file === undefined) throw await wrongUrl(contact, certificate, 'its timestamp.json is no timestamp metadata');
  const seen = [{ answer: object.answer, file }, ...(await askAgain(visit, timestampUrl, probes - 1))];
  judgeVersions(visit, timestampUrl, seen);
  judgeClock(visit, timestampUrl, seen);
  if (certificate === 'verified') judgeCertificates(visit, timestampUrl, seen);
  judgeTimestampCaching(visit, object, seen, maxTimestampAgeSeconds);
  const roots = await examineFiles(visit, { object, seen }, onStep);
  return { findings: all(), requests: visit.requests(), timestamps: seen.map((one) => one.file.role.version), root: roots.newest };
}

async function examineFiles(
  visit: Visit,
  timestamp: { readonly object: ServedObject; readonly seen: readonly Sighting[] },
  onStep: (step: string) => void,
): Promise<Roots> {
  onStep('Reading what it leads to');
  const tree = await readTrees(visit, timestamp.seen);
  const roots = await readRoots(visit);
  const fixed = [...(roots.object === undefined ? [] : [roots.object]), ...tree.objects];
  for (const object of [timestamp.object, ...fixed]) judgeContentType(visit, object);
  for (const object of fixed) judgeImmutable(visit, object);
  for (const role of [...(roots.file === undefined ? [] : [roots.file]), ...tree.roles]) judgeExpiry(visit, role);

  onStep('Asking for what does not exist');
  await judgeMissing(visit, roots.newest);

  onStep('Asking with query strings and for parts of files');
  const smallest = tree.objects.find(({ kind }) => kind === 'target');
  await judgeQueries(
    visit,
    [roots.object, smallest].filter((object) => object !== undefined),
  );
  const largest = tree.objects.at(-1);
  if (largest !== undefined) await judgeRanges(visit, largest);
  return roots;
}

/** Every publication that was seen must be whole; the newest one is the one to look at closely. */
async function readTrees(visit: Visit, seen: readonly Sighting[]): Promise<Tree> {
  const distinct = new Map(seen.map(({ file }) => [file.sha256, file]));
  const oldestFirst = [...distinct.values()].toSorted((a, b) => a.role.version - b.role.version);
  let newest: Tree = { objects: [], roles: [] };
  for (const file of oldestFirst) {
    const tree = await readTree(visit, file);
    newest = { ...tree, roles: [file, ...tree.roles] };
  }
  return newest;
}
