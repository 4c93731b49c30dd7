import type { RefreshOptions, RefreshPlan } from '../../lib/publish/refresh.ts';
import { keysAtHand } from '../at-hand.ts';
import type { Context } from '../context.ts';
import { repositoriesOf } from '../edits.ts';
import { isMomentGiven, judgedAt, momentOptions } from '../moment.ts';
import { dryRunOption, isSet, keysDirOption, repositoriesOptions, textOption } from '../options.ts';
import type { CommandSpec, OptionValues, Outcome } from '../program.ts';
import { openWorkspaceSession, type WorkspaceSession } from '../session.ts';
import { keyNames } from '../drafts.ts';
import { formatWhen } from '../ui/format.ts';
import { paintResult } from '../ui/style.ts';

export const refresh: CommandSpec = {
  name: 'refresh',
  summary: 'draft fresh expiry dates for what is due',
  description:
    'Drafts exactly what is due by policies/expiry.toml, often the timestamp alone; what is offered does not change. Targets are renewed where their keys are, and do not hold up the rest elsewhere. Run it as often as you like: when nothing is due, nothing is drafted.',
  options: [
    { flags: '--online', description: 'renew snapshot and timestamp, due or not' },
    { flags: '--all', description: 'renew targets, snapshot and timestamp, due or not' },
    { flags: '--even-expired', description: 'renew what has expired too: you have made sure that it is what you published last' },
    keysDirOption,
    ...repositoriesOptions,
    ...momentOptions,
    dryRunOption,
  ],
  examples: ['gantry refresh && gantry sign && gantry publish', 'gantry refresh --dry-run --in 5d'],
  async run(context, _, options) {
    await refuseOptions(options);
    const now = await judgedAt(context, options);
    const session = await openWorkspaceSession(context, options);
    const { withWorkspaceLock } = await import('../../lib/workspace/workspace.ts');
    const dryRun = isSet(options, 'dryRun');
    const work = async (): Promise<Outcome> => renew(context, session, now, options);
    return dryRun ? work() : withWorkspaceLock(session.workspace, work);
  },
};

/** @throws GantryError `usage/option` */
async function refuseOptions(options: OptionValues): Promise<void> {
  const { GantryError } = await import('../../lib/errors.ts');
  const chosen = ['online', 'all'].filter((name) => isSet(options, name)).map((name) => `--${name}`);
  if (chosen.length > 1) {
    throw new GantryError('usage/option', `Cannot use ${chosen.join(' together with ')}: each says what to renew; expected one of them`, {
      option: chosen[1] ?? '',
    });
  }
  if (!isMomentGiven(options) || isSet(options, 'dryRun')) return;
  const option = textOption(options, 'in') === undefined ? '--valid-at' : '--in';
  throw new GantryError('usage/option', `Cannot use ${option} without --dry-run: dates are drafted for now; expected both, or none`, {
    option,
  });
}

async function renew(context: Context, session: WorkspaceSession, now: Date, options: OptionValues): Promise<Outcome> {
  const { workspace, store } = session;
  const { planRefresh, refreshRepository } = await import('../../lib/publish/refresh.ts');
  const atHand = await keysAtHand(context, options, workspace);
  const dryRun = isSet(options, 'dryRun');
  const refreshing: RefreshOptions = {
    now,
    roles: isSet(options, 'all') ? 'all' : isSet(options, 'online') ? 'online' : 'due',
    expired: isSet(options, 'evenExpired') ? 'renew' : 'refuse',
    hasKeys: ({ keyids, threshold }) => keyids.filter((keyId) => atHand.has(keyId)).length >= threshold,
  };
  const repositories = await chosenRepositories(session, options);
  // All of it, or nothing when one of them refuses.
  const plans: RefreshPlan[] = [];
  for (const repository of repositories) plans.push(await planRefresh(workspace, store, repository, refreshing));
  if (!dryRun) for (const { repository } of plans) await refreshRepository(workspace, store, repository, refreshing);
  const nameOf = await keyNames(workspace);
  const drafted = plans.filter(({ state }) => state !== 'nothing');
  const verb = dryRun ? 'would be drafted' : 'drafted';
  return {
    json: {
      ...(dryRun ? { dryRun } : {}),
      repositories: plans.map(({ repository, state, renews, left, writes }) => ({ ...repository, state, renews, left, writes })),
    },
    lines: [
      ...plans.flatMap((plan) => describePlan(plan, { now, nameOf, atHand, verb })),
      '',
      dryRun ? 'Nothing was drafted.' : drafted.length === 0 ? 'Nothing was drafted.' : 'Next: gantry sign && gantry publish',
    ],
  };
}

/** Without a choice all of them: a timer must not miss one that was added later. */
async function chosenRepositories(session: WorkspaceSession, options: OptionValues): ReturnType<typeof repositoriesOf> {
  const isChosen = textOption(options, 'variant') !== undefined || textOption(options, 'arch') !== undefined;
  if (isChosen) return repositoriesOf(session, options);
  const { readSeenVersions } = await import('../../lib/workspace/draft-files.ts');
  const { repositories } = session.workspace.config;
  if (repositories.length === 1) return repositories;
  const { readLive } = await import('../../lib/publish/live.ts');
  const published: (typeof repositories)[number][] = [];
  for (const repository of repositories) {
    const seen = await readSeenVersions(session.workspace, session.store.description, repository);
    // One that never was published has nothing to renew.
    const isLive = seen !== undefined || (await readLive(session.workspace, session.store, repository)).trusted.published !== undefined;
    if (isLive) published.push(repository);
  }
  return published;
}

interface Shown {
  readonly now: Date;
  readonly nameOf: (keyId: string) => string;
  readonly atHand: ReadonlySet<string>;
  readonly verb: string;
}

function describePlan({ repository, state, renews, left, writes }: RefreshPlan, { now, nameOf, atHand, verb }: Shown): readonly string[] {
  const how = state === 'nothing' ? 'nothing is due' : state === 'waits' ? 'a draft waits already that renews' : verb;
  return [
    `${paintResult('bold', `${repository.variant}/${repository.arch}`)}: ${how}${state === 'nothing' ? '.' : ':'}`,
    ...renews.flatMap(({ role, from, to, keyIds, need }) => {
      const here = keyIds.filter((keyId) => atHand.has(keyId));
      return [
        `  ${role.padEnd(9)} version ${from.version} → ${to.version}, expires ${to.expires} (${formatWhen(new Date(to.expires), now)})`,
        `            signed by ${need} of ${keyIds.map(nameOf).join(', ')}${here.length >= need ? '' : `; ${here.length} of them at hand`}`,
      ];
    }),
    ...(writes.length === 0 ? [] : [`  publishing writes ${writes.join(', ')}`]),
    ...left.map(({ role, expires, urgency }) => {
      const command = role === 'root' ? 'gantry root expire' : 'gantry refresh where its keys are';
      const is = urgency === 'overdue' ? 'has expired' : 'is due';
      return paintResult('yellow', `  ${role} ${is} (${expires}) and stays as it is: ${command}`);
    }),
  ];
}
