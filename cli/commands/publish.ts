import type { PlannedWrite, PublicationPlan } from '../../lib/publish/plan.ts';
import type { UpdateName } from '../../lib/release/find.ts';
import type { RolloutStatus } from '../../lib/release/rollout-status.ts';
import type { RepositoryName } from '../../lib/workspace/config.ts';
import type { Context } from '../context.ts';
import { repositoriesOf, titleOf } from '../edits.ts';
import { dryRunOption, isSet, numberOption, repositoriesOptions, textOption } from '../options.ts';
import type { CommandSpec, OptionValues, Outcome } from '../program.ts';
import { openWorkspaceSession, type WorkspaceSession } from '../session.ts';
import { count, formatBytes } from '../ui/format.ts';
import { describeRollout } from '../ui/rollout.ts';
import type { Progress } from '../ui/progress.ts';
import { table } from '../ui/table.ts';

export const publish: CommandSpec = {
  name: 'publish',
  summary: 'make what is signed visible to hosts',
  description:
    'Uploads images, then metadata, and replaces timestamp.json last and only if nobody else published meanwhile. It can be stopped anywhere and run again.',
  options: [
    { flags: '--concurrency <n>', description: 'files on their way at the same time', default: '4' },
    ...repositoriesOptions,
    dryRunOption,
  ],
  examples: ['gantry publish --dry-run', 'gantry publish', 'gantry publish --variant metal --json'],
  async run(context, _, options) {
    const session = await openWorkspaceSession(context, options);
    const { withWorkspaceLock } = await import('../../lib/workspace/workspace.ts');
    const repositories = await chosen(session, options);
    if (isSet(options, 'dryRun')) return plan(context, session, repositories);
    const concurrency = numberOption(options, 'concurrency', { min: 1, max: 64 }) ?? 4;
    return withWorkspaceLock(session.workspace, async () => apply(context, session, repositories, concurrency));
  },
};

/** Every repository for which something waits; all of them when nothing does, so that the error names it. */
async function chosen(session: WorkspaceSession, options: OptionValues): Promise<readonly RepositoryName[]> {
  const { workspace, store } = session;
  const { hasSomethingToPublish } = await import('../../lib/publish/publish.ts');
  if (textOption(options, 'variant') !== undefined || textOption(options, 'arch') !== undefined) return repositoriesOf(session, options);
  const waiting: RepositoryName[] = [];
  for (const repository of workspace.config.repositories) {
    if (await hasSomethingToPublish(workspace, store, repository)) waiting.push(repository);
  }
  return waiting.length > 0 ? waiting : workspace.config.repositories;
}

async function plan(context: Context, { workspace, store }: WorkspaceSession, repositories: readonly RepositoryName[]): Promise<Outcome> {
  const { planRepository } = await import('../../lib/publish/publish.ts');
  const plans: PublicationPlan[] = [];
  for (const repository of repositories) plans.push(await planRepository(workspace, store, repository, context.now));
  const writes = plans.flatMap((one) => one.writes);
  return {
    json: { dryRun: true, store: store.description, writes: writes.map(withoutBytes), rollouts: await rolloutsOf(context, plans) },
    lines: [
      `Would write to ${store.description}, in this order:`,
      ...table(
        writes.map(({ path, lengthBytes, kind }) => [`  ${path}`, formatBytes(lengthBytes), kind]),
        { head: ['  object', 'size', 'kind'], right: [1] },
      ),
      '',
      `${count(writes.length, 'object')}, ${formatBytes(writes.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0))}; what is there already is not sent again.`,
      ...(await describeRollouts(context, plans)),
    ],
  };
}

async function apply(
  context: Context,
  { workspace, store }: WorkspaceSession,
  repositories: readonly RepositoryName[],
  concurrency: number,
): Promise<Outcome> {
  const { planRepository, publishRepository } = await import('../../lib/publish/publish.ts');
  const plans: PublicationPlan[] = [];
  const done: { readonly repository: RepositoryName; readonly sent: number; readonly skipped: number; readonly bytes: number }[] = [];
  // What one repository lacks is said before another one is published.
  const wanted: RepositoryName[] = [];
  for (const repository of repositories) {
    if (await mayPublishRoots(context, await planRepository(workspace, store, repository, context.now))) wanted.push(repository);
  }
  for (const repository of wanted) {
    const bars = uploadProgress(context);
    const { applied, plan: applying } = await publishRepository(workspace, store, repository, {
      now: context.now,
      concurrency,
      signal: context.signal,
      onProgress: (write, bytes) => bars.at(write, bytes),
      onApplied: ({ write }) => bars.done(write),
    });
    plans.push(applying);
    const sent = applied.filter((one) => one.sent);
    done.push({
      repository,
      sent: sent.length,
      skipped: applied.length - sent.length,
      bytes: sent.reduce((sum, { write }) => sum + write.lengthBytes, 0),
    });
  }
  return {
    json: { store: store.description, published: done, rollouts: await rolloutsOf(context, plans) },
    lines: [
      ...done.map(
        ({ repository, sent, skipped, bytes }) =>
          `Published ${repository.variant}/${repository.arch}: ${count(sent, 'object')}, ${formatBytes(bytes)}${skipped === 0 ? '' : `; ${skipped} were there already`}.`,
      ),
      ...(await describeRollouts(context, plans)),
      '',
      store.description.startsWith('s3://')
        ? 'Next: point a CDN at the bucket'
        : 'Next: gantry serve, or point a static server or CDN at the store',
    ],
  };
}

/** Who is offered what from this publication on, where it changes anything. */
async function rolloutsOf(
  context: Context,
  plans: readonly PublicationPlan[],
): Promise<readonly (UpdateName & { readonly status: RolloutStatus })[]> {
  const { rolloutStatus } = await import('../../lib/release/rollout-status.ts');
  return plans.flatMap(({ changed }) =>
    changed.map((update) => {
      const { variant, arch, version } = update;
      return { variant, arch, version, status: rolloutStatus(update, context.now) };
    }),
  );
}

async function describeRollouts(context: Context, plans: readonly PublicationPlan[]): Promise<readonly string[]> {
  const rollouts = await rolloutsOf(context, plans);
  return rollouts.map((rollout) => `${titleOf(rollout)} is offered to: ${describeRollout(rollout.status, context.now)}.`);
}

/** A new root cannot be taken back: every host that has seen it keeps it. The first one has no hosts yet. */
async function mayPublishRoots(context: Context, { writes }: PublicationPlan): Promise<boolean> {
  const roots = writes.filter(({ kind, path }) => kind === 'root' && !path.endsWith('/1.root.json'));
  if (roots.length === 0) return true;
  return context.confirm(`Publish ${roots.map(({ path }) => path).join(', ')}? Hosts keep a new root for ever.`);
}

/** Metadata is too small for a bar. */
const BAR_FROM_BYTES = 1 << 20;

function uploadProgress(context: Context): { at(write: PlannedWrite, bytes: number): void; done(write: PlannedWrite): void } {
  const bars = new Map<string, Progress>();
  return {
    at(write, bytes) {
      if (write.lengthBytes < BAR_FROM_BYTES) return;
      const bar = bars.get(write.path) ?? context.progress({ label: `Uploading ${nameOf(write)}`, totalBytes: write.lengthBytes });
      bars.set(write.path, bar);
      bar.at(bytes);
    },
    done(write) {
      bars.get(write.path)?.done();
    },
  };
}

/** Without the folder and the digest in front of a target's name. */
function nameOf({ path }: PlannedWrite): string {
  return path.replace(/^targets\/[0-9a-f]{64}\./u, '');
}

function withoutBytes({ kind, path, lengthBytes, sha256, cacheClass }: PlannedWrite): object {
  return { kind, path, lengthBytes, sha256, cacheClass };
}
