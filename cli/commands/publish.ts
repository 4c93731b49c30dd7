import type { Context } from '../context.ts';
import { repositoriesOf } from '../edits.ts';
import { dryRunOption, isSet, signingOptions, numberOption, pathOf, repositoriesOptions, textOption } from '../options.ts';
import type { CommandSpec, OptionValues, Outcome } from '../program.ts';
import { describePlans, publishAll, rolloutsOf, withoutBytes, type Job } from '../publication.ts';
import { openWorkspaceSession, type WorkspaceSession } from '../session.ts';
import { count } from '../ui/format.ts';
import type { LookDepth } from '../../lib/publish/look.ts';
import type { BeginOptions } from '../../lib/publish/publish.ts';

const PLAN_MAX_BYTES = 256 << 20;

export const publish: CommandSpec = {
  name: 'publish',
  arguments: [['[plan]', 'carry out this plan, exactly or not at all (default: whatever is signed)']],
  summary: 'make what is signed visible to hosts',
  description:
    'Uploads images, then metadata, and replaces timestamp.json last and only if nobody else published meanwhile; then looks at the result as a host does. It can be stopped anywhere and run again.',
  options: [
    { flags: '--plan <file>', description: 'write what would be done to this file, to be looked at and published later' },
    {
      flags: '--verify <depth>',
      description: 'what to fetch as a host afterwards: metadata, the files that changed, all of them',
      choices: ['none', 'metadata', 'changed', 'all'],
      default: 'changed',
    },
    { flags: '--concurrency <n>', description: 'files on their way at the same time', default: '4' },
    {
      flags: '--single-writer',
      description: 'publish to a store that does not keep conditional writes: nobody else may publish meanwhile',
    },
    {
      flags: '--recover',
      description: 'a key was stolen: publish a root that drops it together with the roles that replace what it signed',
    },
    { flags: '--beside-others', description: 'begin a repository where objects lie that no repository has' },
    ...signingOptions,
    ...repositoriesOptions,
    dryRunOption,
  ],
  examples: [
    'gantry publish --dry-run',
    'gantry publish',
    'gantry publish --plan plan.json && gantry publish plan.json',
    'gantry publish --json',
  ],
  async run(context, [planFile], options) {
    const session = await openWorkspaceSession(context, options);
    const { withWorkspaceLock } = await import('../../lib/workspace/workspace.ts');
    const target = textOption(options, 'plan');
    if (planFile === undefined && target !== undefined) return writePlan(context, session, pathOf(context, target), options);
    const jobs = planFile === undefined ? await draftJobs(context, session, options) : await planJobs(context, session, planFile, options);
    if (isSet(options, 'dryRun')) return dryRun(context, session, jobs);
    const concurrency = numberOption(options, 'concurrency', { min: 1, max: 64 }) ?? 4;
    // The choices of the option are these.
    const depth = (textOption(options, 'verify') ?? 'changed') as LookDepth;
    return withWorkspaceLock(session.workspace, async () =>
      publishAll(context, session, jobs, {
        concurrency,
        depth,
        writers: isSet(options, 'singleWriter') ? 'single' : 'several',
        ...beginning(options),
      }),
    );
  },
};

function beginning(
  options: OptionValues,
): BeginOptions & { readonly judgement: 'recover' | 'strict'; readonly others: 'allowed' | 'refused' } {
  return {
    others: isSet(options, 'besideOthers') ? 'allowed' : 'refused',
    judgement: isSet(options, 'recover') ? 'recover' : 'strict',
  };
}

/** One for every repository in which something waits; for all of them when nothing does: then they are live already. */
async function draftJobs(context: Context, session: WorkspaceSession, options: OptionValues): Promise<readonly Job[]> {
  const { workspace, store } = session;
  const { hasSomethingToPublish, planRepository, publishRepository } = await import('../../lib/publish/publish.ts');
  const isChosen = textOption(options, 'variant') !== undefined || textOption(options, 'arch') !== undefined;
  const candidates = isChosen ? await repositoriesOf(session, options) : workspace.config.repositories;
  const waiting = [];
  for (const repository of candidates)
    if (await hasSomethingToPublish(workspace, store, repository, beginning(options))) waiting.push(repository);
  const signAgain = await signerOf(context, session, options);
  return (waiting.length > 0 && !isChosen ? waiting : candidates).map((repository) => ({
    repository,
    plan: async () => planRepository(workspace, store, repository, context.now, beginning(options)),
    publish: async (publishing) => publishRepository(workspace, store, repository, { ...publishing, signAgain }),
  }));
}

/** Signs what was drafted again because a version number was taken, with the keys at hand. */
async function signerOf(context: Context, { workspace, store }: WorkspaceSession, options: OptionValues): Promise<() => Promise<void>> {
  const { openKeySession } = await import('../session.ts');
  const { signDrafts } = await import('../../lib/publish/sign.ts');
  const { failureOf } = await import('../../lib/publish/signing.ts');
  const keys = await openKeySession(context, options, workspace);
  return async () => {
    context.note('A version number was taken meanwhile: signing once more, with the next one.');
    const failure = failureOf((await signDrafts(workspace, store, { ...keys, now: context.now })).items);
    if (failure !== undefined) throw failure;
  };
}

async function planJobs(
  context: Context,
  { workspace, store }: WorkspaceSession,
  planFile: string,
  options: OptionValues,
): Promise<readonly Job[]> {
  const { GantryError, quote } = await import('../../lib/errors.ts');
  if (textOption(options, 'plan') !== undefined) {
    const problem = `Cannot use --plan together with the plan ${quote(planFile)}: expected one that is written, or one that is published`;
    throw new GantryError('usage/option', problem, { option: '--plan' });
  }
  const { readWholeFile } = await import('../../lib/files/read.ts');
  const { decodePlans } = await import('../../lib/publish/plan-file.ts');
  const { checkPlan, publishPlan } = await import('../../lib/publish/publish.ts');
  const file = decodePlans(await readWholeFile(pathOf(context, planFile), { maxBytes: PLAN_MAX_BYTES }), planFile);
  if (file.store !== store.description) {
    const problem = `Cannot use the plan ${quote(planFile)}: it was made for ${quote(file.store)}; expected this store, ${quote(store.description)}`;
    throw new GantryError('publish/bad-plan', problem, { path: planFile, at: 'store' });
  }
  return file.plans.map((stated, index) => ({
    repository: stated.repository,
    plan: async () => checkPlan(workspace, store, { stated, file: planFile }, context.now, beginning(options)),
    publish: async (publishing) =>
      publishPlan(workspace, store, { stated, file: planFile, later: file.plans.slice(index + 1) }, publishing),
  }));
}

async function writePlan(context: Context, session: WorkspaceSession, target: string, options: OptionValues): Promise<Outcome> {
  const { workspace, store } = session;
  const { stateRepository } = await import('../../lib/publish/publish.ts');
  const { encodePlans } = await import('../../lib/publish/plan-file.ts');
  const { writeFileAtomic } = await import('../../lib/files/atomic.ts');
  const stated = [];
  for (const { repository } of await draftJobs(context, session, options)) {
    stated.push(await stateRepository(workspace, store, repository, context.now, beginning(options)));
  }
  const plans = stated.map(({ plan }) => plan);
  if (!isSet(options, 'dryRun')) {
    await writeFileAtomic(target, encodePlans({ store: store.description, plans: stated.map((one) => one.stated) }, context.now));
  }
  return {
    json: { plan: target, store: store.description, writes: plans.flatMap((one) => one.writes.map(withoutBytes)) },
    lines: [
      ...(await describePlans(context, plans, `The plan writes to ${store.description}, in this order:`)),
      '',
      isSet(options, 'dryRun') ? `Nothing was written to ${target}.` : `Next: gantry publish ${textOption(options, 'plan') ?? target}`,
    ],
  };
}

async function dryRun(context: Context, { store }: WorkspaceSession, jobs: readonly Job[]): Promise<Outcome> {
  const plans = [];
  for (const job of jobs) plans.push(await job.plan());
  const writes = plans.flatMap((one) => one.writes);
  return {
    json: { dryRun: true, store: store.description, writes: writes.map(withoutBytes), rollouts: await rolloutsOf(context, plans) },
    lines: [
      ...(await describePlans(context, plans, `Would write to ${store.description}, in this order:`)),
      ...(writes.length === 0 ? [`All of ${count(jobs.length, 'plan')} is live already.`] : []),
    ],
  };
}
