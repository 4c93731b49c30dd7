/** Publishing several repositories, each by itself, and looking at the result: what `gantry publish` does and says. */
import { GantryError, isGantryError } from '../lib/errors.ts';
import type { Judgement } from '../lib/publish/live-state.ts';
import type { Look, LookDepth } from '../lib/publish/look.ts';
import type { PlannedWrite, PublicationPlan } from '../lib/publish/plan.ts';
import type { Publication, PublishOptions } from '../lib/publish/publish.ts';
import type { UpdateName } from '../lib/release/find.ts';
import type { RolloutStatus } from '../lib/release/rollout-status.ts';
import type { RepositoryName } from '../lib/workspace/config.ts';
import type { Context } from './context.ts';
import { titleOf } from './edits.ts';
import type { Outcome } from './program.ts';
import type { WorkspaceSession } from './session.ts';
import { count, formatBytes, formatDuration, shellWord } from './ui/format.ts';
import type { Progress } from './ui/progress.ts';
import { BAR_FROM_BYTES, uploadProgress } from './ui/uploads.ts';
import { rolloutJson, rolloutSentence } from './ui/rollout.ts';
import { table } from './ui/table.ts';

/** What is to be published of one repository. */
export interface Job {
  readonly repository: RepositoryName;
  /** What would be written; changes nothing. */
  readonly plan: () => Promise<PublicationPlan>;
  readonly publish: (options: PublishOptions) => Promise<Publication>;
}

export interface PublishingOptions {
  readonly concurrency: number;
  readonly depth: LookDepth;
  readonly writers: 'single' | 'several';
  readonly others: 'refused' | 'allowed';
  readonly judgement: Judgement;
}

interface Done {
  readonly repository: RepositoryName;
  readonly sent: number;
  readonly skipped: number;
  readonly bytes: number;
  readonly look?: Look;
}

/** What one repository lacks is said before another one is published. */
export async function publishAll(
  context: Context,
  session: WorkspaceSession,
  jobs: readonly Job[],
  options: PublishingOptions,
): Promise<Outcome> {
  const wanted: Job[] = [];
  const declined: RepositoryName[] = [];
  for (const job of jobs) {
    const plan = await job.plan();
    if (options.depth !== 'none') await lookBefore(context, session, job.repository, options.judgement);
    if (await mayPublishRoots(context, plan)) wanted.push(job);
    else declined.push(job.repository);
  }
  if (options.writers === 'single') await sayWhatIsLost(context);
  if (options.judgement === 'recover')
    context.note('Until the last write is done hosts refuse what they see, and keep the system that they run.');
  const done: Done[] = [];
  const plans: PublicationPlan[] = [];
  for (const job of wanted) {
    try {
      const { plan, applied } = await publishOne(context, job, options);
      plans.push(plan);
      const sent = applied.filter((one) => one.sent);
      const counted = {
        repository: job.repository,
        sent: sent.length,
        skipped: applied.length - sent.length,
        bytes: sent.reduce((sum, { write }) => sum + write.lengthBytes, 0),
      };
      done.push(counted);
      const look = await lookAfter(context, session, plan, options.depth);
      if (look !== undefined) done.splice(-1, 1, { ...counted, look });
    } catch (error) {
      throw withOthers(error, job, wanted, done);
    }
  }
  return {
    json: {
      store: session.store.description,
      published: done,
      ...(declined.length === 0 ? {} : { declined }),
      rollouts: await rolloutsOf(context, plans),
    },
    lines: [
      ...done.flatMap(describeDone),
      ...declined.map((repository) => `${nameOf(repository)} was not published.`),
      ...(await describeRollouts(context, plans)),
      ...nextSteps(session),
    ],
  };
}

async function publishOne(context: Context, job: Job, options: PublishingOptions): Promise<Publication> {
  const { concurrency, writers, others, judgement } = options;
  const bars = uploadProgress(context);
  try {
    return await job.publish({
      now: context.now,
      concurrency,
      writers,
      others,
      judgement,
      signal: context.signal,
      onProbe: () => context.note('Looking whether this store keeps conditional writes; it is remembered for a week.'),
      onProgress: (write, bytes) => bars.at(write, bytes),
      onApplied: ({ write }) => bars.done(write),
    });
  } catch (error) {
    bars.fail();
    throw error;
  }
}

/** Each repository is published by itself: whoever reads the error wants to know what became of the others. */
function withOthers(error: unknown, failed: Job, wanted: readonly Job[], done: readonly Done[]): unknown {
  if (!isGantryError(error) || wanted.length < 2) return error;
  const published = done.map(({ repository }) => nameOf(repository));
  const waiting = wanted
    .slice(wanted.indexOf(failed))
    .map(({ repository }) => nameOf(repository))
    .filter((name) => !published.includes(name));
  const states = [
    `published: ${published.length === 0 ? 'none' : published.join(', ')}`,
    `not published: ${waiting.length === 0 ? 'none' : waiting.join(', ')}`,
  ];
  return new GantryError(error.code, `${error.message}\n${states.join('; ')}`, error.details, { cause: error });
}

async function lookBefore(
  context: Context,
  { workspace, store }: WorkspaceSession,
  repository: RepositoryName,
  judgement: Judgement,
): Promise<void> {
  if (workspace.config.url === undefined) return;
  const { refuseWrongUrl } = await import('../lib/publish/look.ts');
  const { readLive } = await import('../lib/publish/live.ts');
  await refuseWrongUrl(workspace, await readLive(workspace, store, repository, { judgement }), context.signal);
}

async function lookAfter(
  context: Context,
  { workspace, store }: WorkspaceSession,
  plan: PublicationPlan,
  depth: LookDepth,
): Promise<Look | undefined> {
  if (depth === 'none') return undefined;
  const { lookAsHost } = await import('../lib/publish/look.ts');
  const { readLive } = await import('../lib/publish/live.ts');
  const { published } = (await readLive(workspace, store, plan.repository)).trusted;
  // A root by itself is nothing that a host could use yet.
  if (published === undefined) return undefined;
  let bar: Progress | undefined;
  try {
    const look = await lookAsHost(
      workspace,
      store,
      { plan, timestamp: published.timestamp.role.version },
      {
        depth,
        signal: context.signal,
        onWait: (seconds) => context.note(`Waiting until caches let go of the timestamp.json before, ${seconds} s at the most …`),
        onProgress: (bytes, totalBytes) => {
          if (totalBytes < BAR_FROM_BYTES) return;
          bar ??= context.progress({ label: 'Looking as a host', totalBytes });
          bar.at(bytes);
        },
      },
    );
    bar?.done();
    return look;
  } catch (error) {
    bar?.fail();
    throw error;
  }
}

async function sayWhatIsLost(context: Context): Promise<void> {
  const { LOST_PROMISES } = await import('../lib/store/single-writer.ts');
  context.note('--single-writer: only you may publish until this is done. What gantry cannot promise then:');
  for (const promise of LOST_PROMISES) context.note(`- ${promise}`);
}

/** A new root cannot be taken back: every host that has seen it keeps it. The first one has no hosts yet. */
async function mayPublishRoots(context: Context, { writes }: PublicationPlan): Promise<boolean> {
  const roots = writes.filter(({ kind, path }) => kind === 'root' && !path.endsWith('/1.root.json'));
  if (roots.length === 0) return true;
  return context.confirm(`Publish ${roots.map(({ path }) => path).join(', ')}? Hosts keep a new root for ever.`);
}

function describeDone({ repository, sent, skipped, bytes, look }: Done): readonly string[] {
  const published = `Published ${nameOf(repository)}: ${count(sent, 'object')}, ${formatBytes(bytes)}${skipped === 0 ? '' : `; ${skipped} were there already`}.`;
  const lines = [sent === 0 ? `Nothing to publish for ${nameOf(repository)}: all of it is live already.` : published];
  if (look === undefined) return lines;
  const waited = look.waitedMs < 1000 ? '' : ` after ${formatDuration(look.waitedMs)}`;
  return [
    ...lines,
    `A host sees it at ${look.url}${waited}: timestamp ${look.timestamp}, ${count(look.targets, 'file')}, ${formatBytes(look.bytes)}.`,
  ];
}

/** What is left to do so that hosts can reach the store. */
function nextSteps({ workspace, store }: WorkspaceSession): readonly string[] {
  if (workspace.config.url !== undefined) return [];
  if (store.description.startsWith('s3://'))
    return ['', 'Next: point a CDN at the bucket, and say where in gantry.toml: url = "https://…"'];
  if (store.conditions !== undefined) return [];
  const from = `${shellWord(store.description)}/`;
  return [
    '',
    'Next: gantry serve, or copy it to your server, timestamp.json last:',
    `  rsync -a --exclude='.*' --exclude=timestamp.json ${from} HOST:FOLDER/`,
    `  rsync -a --exclude='.*' ${from} HOST:FOLDER/`,
  ];
}

/** The writes as a table, and what they mean for the fleet. */
export async function describePlans(context: Context, plans: readonly PublicationPlan[], title: string): Promise<readonly string[]> {
  const writes = plans.flatMap((one) => one.writes);
  if (writes.length === 0) return [];
  return [
    title,
    ...table(
      // A digest in full is wider than a terminal.
      writes.map(({ path, lengthBytes, kind }) => [
        `  ${path.replace(/([0-9a-f]{8})[0-9a-f]{56}/u, '$1…')}`,
        formatBytes(lengthBytes),
        kind,
      ]),
      { head: ['  object', 'size', 'kind'], right: [1] },
    ),
    '',
    `${count(writes.length, 'object')}, ${formatBytes(writes.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0))}; what is there already is not sent again.`,
    ...(await describeRollouts(context, plans)),
  ];
}

/** Who is offered what from these publications on, where they change anything. */
export async function rolloutsOf(context: Context, plans: readonly PublicationPlan[]): Promise<readonly object[]> {
  return (await changesOf(context, plans)).map(({ name, state, status }) => ({
    ...name,
    state,
    ...(status === undefined ? {} : { rollout: rolloutJson(status) }),
  }));
}

interface OfferChange {
  readonly name: UpdateName;
  readonly state: 'published' | 'removed';
  /** Of what is offered. */
  readonly status?: RolloutStatus;
}

async function changesOf(context: Context, plans: readonly PublicationPlan[]): Promise<readonly OfferChange[]> {
  const { rolloutStatus } = await import('../lib/release/rollout-status.ts');
  const nameIn = ({ variant, arch, version }: UpdateName): UpdateName => ({ variant, arch, version });
  return plans.flatMap(({ changed, removed }) => [
    ...changed.map((update): OfferChange => ({ name: nameIn(update), state: 'published', status: rolloutStatus(update, context.now) })),
    ...removed.map((update): OfferChange => ({ name: nameIn(update), state: 'removed' })),
  ]);
}

async function describeRollouts(context: Context, plans: readonly PublicationPlan[]): Promise<readonly string[]> {
  return (await changesOf(context, plans)).map(
    ({ name, status }) =>
      `${titleOf(name)}: ${status === undefined ? 'nobody is offered it any more.' : rolloutSentence(status, context.now)}`,
  );
}

function nameOf({ variant, arch }: RepositoryName): string {
  return `${variant}/${arch}`;
}

export function withoutBytes({ kind, path, lengthBytes, sha256, cacheClass }: PlannedWrite): object {
  return { kind, path, lengthBytes, sha256, cacheClass };
}
