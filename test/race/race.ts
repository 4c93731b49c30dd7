/**
 * Races: several publishers, each with a release of its own, publish at once, round after round.
 *
 * What must come of each round, and is judged here:
 * - exactly one wins, and the others end with exit code 5;
 * - a loser publishes when it has signed once more: one of them at once, the others in a later round or, at the latest, in the end;
 * - every publication is on top of the one before: versions of timestamp, snapshot and targets strictly increase, and the timestamp goes
 *   up by one for each;
 * - whatever anybody published is in the live manifest, and stays there;
 * - a client that reads throughout sees complete publications only (`reader.ts`).
 *
 * A race in which nobody planned from the same state would prove nothing: it is counted in how many rounds two did.
 */
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { readLive } from '../../lib/publish/live.ts';
import { versionsOf } from '../../lib/publish/live-state.ts';
import type { FreeVersions } from '../../lib/repository/draft.ts';
import { METAL, engineerWithRoot, publish, sign, type Engineer } from '../support/engineer.ts';
import { draftSmallRelease } from '../support/small-release.ts';
import type { Barrier, Outcome, StoreSpec } from './messages.ts';
import type { Publisher } from './pool.ts';
import { openStoreOf } from './publisher.ts';
import { startReader } from './reader.ts';

/** A new repository after so many rounds: metadata of a thousand releases would be all that is measured. */
const ROUNDS_PER_REPOSITORY = 20;
/** Rounds that meet at the timestamp take longer, since all come there one after the other. */
const TIMESTAMP_EVERY = 4;
/** Publishers that sign again by themselves when a number was taken: of many only these, since each tries up to five times. */
const WITH_KEYS = 2;

export interface RaceReport {
  readonly rounds: number;
  /** In which at least two had planned from the same state. */
  readonly sameState: number;
  readonly publications: number;
  /** Found in the manifest in the end, the first one of each repository not counted. */
  readonly releases: number;
  readonly conflicts: number;
  /** What the readers did meanwhile. */
  readonly passes: number;
  readonly seen: number;
  readonly milliseconds: number;
  /** Empty when everything was as it must be. */
  readonly problems: readonly string[];
}

export interface RaceOptions {
  readonly publishers: readonly Publisher[];
  readonly rounds: number;
  /** A store that nobody has used. */
  readonly newStore: () => Promise<StoreSpec>;
}

/** Stops behind the first round that has a problem. */
export async function race(t: TestContext, { publishers, rounds, newStore }: RaceOptions): Promise<RaceReport> {
  const started = performance.now();
  const sum = { rounds: 0, sameState: 0, publications: 0, releases: 0, conflicts: 0, passes: 0, seen: 0 };
  const problems: string[] = [];
  while (sum.rounds < rounds && problems.length === 0) {
    const { track, engineer } = await newTrack(t, publishers, await newStore());
    const reader = await startReader(t, engineer.store, join(engineer.workspace.directory, '1.root.json'));
    const count = (outcomes: readonly Outcome[]): void => {
      sum.publications += outcomes.filter(({ result }) => result === 'won').length;
      sum.conflicts += outcomes.filter(({ result }) => result === 'lost').length;
      problems.push(...track.problems.splice(0).map((problem) => `round ${sum.rounds}: ${problem}`));
    };
    for (let round = 1; round <= ROUNDS_PER_REPOSITORY && sum.rounds < rounds && problems.length === 0; round += 1) {
      sum.rounds += 1;
      const { sameState, outcomes } = await runRound(track, round);
      sum.sameState += sameState;
      count(outcomes);
    }
    if (problems.length === 0) count(await settle(track));
    sum.releases += track.published.size - 1;
    const read = await reader.stop();
    sum.passes += read.passes;
    sum.seen += read.publications;
    problems.push(...read.problems);
  }
  return { ...sum, milliseconds: performance.now() - started, problems };
}

interface Track {
  readonly publishers: readonly Publisher[];
  readonly engineer: Engineer;
  /** What the manifest must name, ever after. */
  readonly published: Set<string>;
  /** What each publisher has drafted and not published. */
  readonly waiting: readonly Set<string>[];
  readonly problems: string[];
  live: FreeVersions;
}

async function newTrack(
  t: TestContext,
  publishers: readonly Publisher[],
  spec: StoreSpec,
): Promise<{ readonly track: Track; readonly engineer: Engineer }> {
  const engineer: Engineer = { ...(await engineerWithRoot(t, new Date())), store: await openStoreOf(spec) };
  await draftSmallRelease(engineer, 'metal');
  await sign(engineer);
  await publish(engineer);
  await Promise.all(
    publishers.map(async (publisher, index) => {
      const workspace = join(engineer.directory, `publisher-${index}`);
      await cp(engineer.workspace.directory, workspace, { recursive: true });
      await publisher.ask({
        kind: 'enter',
        workspace,
        keysDirectory: engineer.keysDirectory,
        store: spec,
        signing: index < WITH_KEYS ? 'at hand' : 'elsewhere',
      });
    }),
  );
  const live = { timestamp: 1, snapshot: 1, targets: 1 };
  const track: Track = {
    publishers,
    engineer,
    published: new Set(['metal']),
    waiting: publishers.map(() => new Set<string>()),
    problems: [],
    live,
  };
  return { track, engineer };
}

interface Round {
  readonly sameState: 0 | 1;
  readonly outcomes: readonly Outcome[];
}

async function runRound(track: Track, round: number): Promise<Round> {
  const releases = track.publishers.map((_, index) => `metal-${index}-${round}`);
  const { outcomes, bases } =
    round % TIMESTAMP_EVERY === 0 ? await meetAtTimestamp(track, releases) : await meetAtFirstWrite(track, releases);
  const winners = outcomes.filter(({ result }) => result === 'won').length;
  if (winners !== 1) track.problems.push(`${winners} of ${outcomes.length} publishers won; expected exactly one`);
  for (const [index, name] of releases.entries()) track.waiting[index]?.add(name);
  for (const [index, outcome] of outcomes.entries()) {
    if (outcome.result === 'won') note(track, outcome.base, index);
    else if (outcome.exitCode !== 5) track.problems.push(`a loser ended with ${outcome.exitCode} (${outcome.message}); expected 5`);
  }
  const losers = outcomes.flatMap(({ result }, index) => (result === 'lost' ? [index] : []));
  const all = [...outcomes, ...(await rebase(track, losers.slice(round % losers.length).slice(0, 1)))];
  await judge(track, all.filter(({ result }) => result === 'won').length);
  return { sameState: new Set(bases).size < bases.length ? 1 : 0, outcomes: all };
}

/** Signs and publishes once more, one after the other: each must succeed. */
async function rebase(track: Track, losers: readonly number[]): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const index of losers) {
    const publisher = track.publishers[index];
    if (publisher === undefined || track.problems.length > 0) continue;
    const again = await publisher.publish({ kind: 'rebase' }, () => undefined);
    outcomes.push(again);
    if (again.result === 'won') note(track, again.base, index);
    else track.problems.push(`a loser did not publish after it had signed once more: ${again.message}`);
  }
  return outcomes;
}

/** Whoever still waits publishes; nothing may be left. */
async function settle(track: Track): Promise<readonly Outcome[]> {
  const left = track.waiting.flatMap(({ size }, index) => (size > 0 ? [index] : []));
  const outcomes = await rebase(track, left);
  await judge(track, outcomes.filter(({ result }) => result === 'won').length);
  return outcomes;
}

function releaseAt(releases: readonly string[], index: number): string {
  const release = releases[index];
  if (release === undefined) throw new RangeError(`no publisher ${index}`);
  return release;
}

interface Meeting {
  readonly outcomes: readonly Outcome[];
  /** What each planned from, of those who came to the barrier. */
  readonly bases: readonly string[];
}

/** All have planned, and none has written: most lose a number to somebody. */
async function meetAtFirstWrite({ publishers }: Track, releases: readonly string[]): Promise<Meeting> {
  await Promise.all(publishers.map(async (publisher, index) => publisher.ask({ kind: 'draft', release: releaseAt(releases, index) })));
  return letGo(publishers.map((publisher) => arrive(publisher, 'first write')));
}

/** All have written all but the timestamp, one after the other, each with numbers of its own: one condition decides among them. */
async function meetAtTimestamp({ publishers }: Track, releases: readonly string[]): Promise<Meeting> {
  const arrivals: Arrival[] = [];
  for (const [index, publisher] of publishers.entries()) {
    await publisher.ask({ kind: 'draft', release: releaseAt(releases, index) });
    const arrival = arrive(publisher, 'timestamp');
    await arrival.base;
    arrivals.push(arrival);
  }
  return letGo(arrivals);
}

interface Arrival {
  readonly publisher: Publisher;
  /** Undefined when it ended before it came to the barrier. */
  readonly base: Promise<string | undefined>;
  readonly outcome: Promise<Outcome>;
}

function arrive(publisher: Publisher, barrier: Barrier): Arrival {
  const { promise: base, resolve } = Promise.withResolvers<string | undefined>();
  const outcome = publisher.publish({ kind: 'publish', barrier }, resolve).finally(() => resolve(undefined));
  return { publisher, base, outcome };
}

async function letGo(arrivals: readonly Arrival[]): Promise<Meeting> {
  const bases = await Promise.all(arrivals.map(async ({ base }) => base));
  arrivals.forEach(({ publisher }, index) => {
    if (bases[index] !== undefined) publisher.go();
  });
  const outcomes = await Promise.all(arrivals.map(async ({ outcome }) => outcome));
  return { outcomes, bases: bases.filter((base) => base !== undefined) };
}

function note(track: Track, base: FreeVersions, index: number): void {
  for (const name of track.waiting[index] ?? []) track.published.add(name);
  track.waiting[index]?.clear();
  if (base.timestamp < track.live.timestamp) track.problems.push(`timestamp ${base.timestamp} was published upon twice`);
  track.live = { ...track.live, timestamp: base.timestamp + 1 };
}

async function judge(track: Track, publications: number): Promise<void> {
  const { engineer, published, problems, live: before } = track;
  const { trusted } = await readLive(engineer.workspace, engineer.store, METAL).catch((error: unknown) => {
    problems.push(`what is live cannot be read: ${String(error)}`);
    return { trusted: undefined };
  });
  if (trusted === undefined) return;
  const names = new Set(trusted.manifest.updates.map(({ variant }) => variant));
  const lost = [...published].filter((name) => !names.has(name));
  if (lost.length > 0) problems.push(`${lost.join(', ')} was published and is lost`);
  if (names.size > published.size) problems.push(`${names.size} releases are live; expected the ${published.size} that were published`);
  if (trusted.published === undefined) {
    problems.push('nothing is live');
    return;
  }
  const now = versionsOf(trusted.published);
  if (now.timestamp !== before.timestamp) problems.push(`timestamp ${now.timestamp} is live; expected ${before.timestamp}`);
  for (const role of ['snapshot', 'targets'] as const) {
    const least = before[role] + publications;
    if (now[role] < least) problems.push(`${role} ${now[role]} is live; expected at least ${least}`);
  }
  track.live = now;
}
