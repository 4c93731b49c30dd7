import type { DraftStatus, NextStep, RepositoryStatus, Urgency, WorkspaceStatus } from '../../lib/publish/status.ts';
import type { MissingSignatures } from '../../lib/errors.ts';
import type { Update } from '../../lib/release/manifest.ts';
import type { RolloutStatus } from '../../lib/release/rollout-status.ts';
import { EXIT } from '../exit-codes.ts';
import { steerAgain } from '../edits.ts';
import { keyOptions, storeOption } from '../options.ts';
import type { CommandSpec } from '../program.ts';
import { keysDirectoryOf, openWorkspaceSession } from '../session.ts';
import { formatWhen } from '../ui/format.ts';
import { describeRollout } from '../ui/rollout.ts';
import { paintResult } from '../ui/style.ts';
import { table } from '../ui/table.ts';

const EXIT_OF: Readonly<Record<Urgency, number>> = { fine: EXIT.done, due: EXIT.due, overdue: EXIT.overdue };

const NEXT: Readonly<Record<Exclude<NextStep, 'steer-again'>, string>> = {
  'make-root': 'gantry root init --root NAMES --targets NAMES --snapshot NAMES --timestamp NAMES',
  sign: 'gantry sign',
  'wait-for-signatures': 'gantry sign where the missing keys are',
  'add-release': 'gantry release add VERSION --boot FILE --root FILE --hash FILE',
  publish: 'gantry publish',
  refresh: 'gantry refresh && gantry sign && gantry publish',
  nothing: 'nothing; hosts are served',
};

export const status: CommandSpec = {
  name: 'status',
  summary: 'where things stand, what is due, what to do next',
  description: 'Exits with 10 when a live role is due by policies/expiry.toml, with 11 when one has expired.',
  options: [...keyOptions.slice(0, 1), storeOption],
  examples: ['gantry status', 'gantry status --json || alert'],
  async run(context, _, options) {
    const { workspace, store } = await openWorkspaceSession(context, options);
    const { readStatus } = await import('../../lib/publish/status.ts');
    const { listKeyFiles } = await import('../../lib/keys/key-file.ts');
    const { rolloutStatus } = await import('../../lib/release/rollout-status.ts');
    const keysDirectory = await keysDirectoryOf(context, options, workspace);
    const atHand = new Set<string>(
      (await listKeyFiles(keysDirectory)).filter(({ privatePath }) => privatePath !== undefined).map(({ keyId }) => keyId),
    );
    const found = await readStatus(workspace, store, {
      now: context.now,
      canSign: async (missing) => missing.some(({ candidates }) => candidates.some((keyId) => atHand.has(keyId))),
    });
    return {
      json: { ...found, nextCommand: nextCommand(found) },
      lines: [
        ...describeRoot(found),
        ...found.repositories.flatMap((repository) => describe(repository, context.now, rolloutStatus)),
        '',
        `Next: ${nextCommand(found)}`,
      ],
      exitCode: EXIT_OF[found.urgency],
    };
  },
};

function nextCommand({ next, repositories }: WorkspaceStatus): string {
  if (next !== 'steer-again') return NEXT[next];
  const [late] = repositories.flatMap(({ draft }) => draft?.late ?? []);
  return late === undefined ? NEXT.sign : steerAgain(late);
}

function describeRoot({ rootVersion, rootMissing }: WorkspaceStatus): readonly string[] {
  return [
    rootVersion === undefined
      ? 'No root yet.'
      : `Root chain: ${rootVersion === 1 ? '1.root.json' : `1.root.json to ${rootVersion}.root.json`}`,
    ...(rootMissing === undefined ? [] : [`A new root is drafted${missingText(rootMissing)}.`]),
  ];
}

function describe(
  { repository, live, rootsWaiting, updates, draft }: RepositoryStatus,
  now: Date,
  rolloutStatus: (update: Update, now: Date) => RolloutStatus,
): readonly string[] {
  const rows = live.map(({ role, version, expires, urgency }) => [
    `  ${role}`,
    String(version),
    expires,
    paintResult(urgency === 'fine' ? 'green' : urgency === 'due' ? 'yellow' : 'red', formatWhen(new Date(expires), now)),
  ]);
  return [
    '',
    paintResult('bold', `${repository.variant}/${repository.arch}`),
    ...(rows.length === 0 ? ['  nothing is published yet'] : table(rows, { head: ['  live', 'version', 'expires', ''], right: [1] })),
    ...(updates.length === 0
      ? []
      : [`  releases: ${updates.map((update) => releaseText(update, rolloutStatus(update, now), now)).join('; ')}`]),
    ...(rootsWaiting === 0 || live.length === 0 ? [] : [`  ${rootsWaiting} new root(s) wait for publication`]),
    ...(draft === undefined
      ? []
      : [
          `  draft: ${draft.releases.length > 0 ? `release ${draft.releases.join(', ')}` : draft.edits ? 'changes to releases' : 'fresh expiry dates'}${missingText(draft.missing)}${draft.overtaken ? '; somebody else has published since' : ''}`,
          ...describeDeadline(draft, now),
        ]),
  ];
}

function describeDeadline({ publishBefore, late }: DraftStatus, now: Date): readonly string[] {
  if (publishBefore === undefined) return [];
  const when = formatWhen(new Date(publishBefore), now);
  return [
    late.length > 0
      ? paintResult('red', `  it came too late: it had to be published before ${publishBefore} (${when})`)
      : `  publish it before ${publishBefore} (${when})`,
  ];
}

/** The version, and where its rollout stands while it does. */
function releaseText({ version }: Update, rollout: RolloutStatus, now: Date): string {
  return rollout.state === 'everyone' || rollout.state === 'done' ? version : `${version} (${describeRollout(rollout, now)})`;
}

function missingText(missing: readonly MissingSignatures[]): string {
  if (missing.length === 0) return ', complete';
  return `, ${missing.map(({ role, have, need }) => `${role} has ${have} of ${need} signatures`).join(', ')}`;
}
