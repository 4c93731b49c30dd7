import type { DraftStatus, RepositoryStatus, RoleStatus, WorkspaceStatus } from '../../lib/publish/status.ts';
import { GantryError, type MissingSignatures } from '../../lib/errors.ts';
import type { Update } from '../../lib/release/manifest.ts';
import type { RolloutStatus } from '../../lib/release/rollout-status.ts';
import { pathOf } from '../options.ts';
import type { CommandSpec, OptionValues } from '../program.ts';
import { readStanding, standingOptions, type Standing } from '../standing.ts';
import { count, formatWhen } from '../ui/format.ts';
import { describeRollout } from '../ui/rollout.ts';
import { paintResult } from '../ui/style.ts';
import { table } from '../ui/table.ts';

export const status: CommandSpec = {
  name: 'status',
  arguments: [
    [
      '[what]',
      'a live repository: the folder of timestamp.json, a directory or a URL; or a file that gantry draft export wrote (default: the workspace)',
    ],
  ],
  summary: 'where things stand, what is due, what to do next',
  description:
    'Exits with 10 when a live role is due by policies/expiry.toml, with 11 when one has expired. Of a live repository it says what its keys have signed, from a root that you trust; of a draft in a file, who has signed it and who is missing.',
  options: [
    { flags: '--root <file>', description: 'with a repository or a file: the root that is trusted (default: the roots of the workspace)' },
    ...standingOptions,
  ],
  examples: [
    'gantry status',
    'gantry status --json || alert',
    'gantry status --in 5d',
    'gantry status https://updates.example.com/metal/x86_64 --root 1.root.json',
    'gantry status ceremony.draft',
  ],
  async run(context, [place], options) {
    if (place !== undefined && (await isFile(pathOf(context, place)))) {
      refuseMisplaced(options, ['metrics', 'store']);
      const { draftStatus } = await import('../draft-status.ts');
      return draftStatus(context, place, options);
    }
    if (place !== undefined) {
      refuseMisplaced(options, ['metrics', 'store', 'keysDir']);
      const { liveStatus } = await import('../live-status.ts');
      return liveStatus(context, place, options);
    }
    const standing = await readStanding(context, options);
    const { rolloutStatus } = await import('../../lib/release/rollout-status.ts');
    const { status: found, steps, exitCode } = standing;
    const { actions: _actions, ...rest } = found;
    const [first] = steps;
    const nextCommand = first === undefined ? 'nothing; hosts are served' : (first.commands[0] ?? first.why);
    return {
      json: { ...rest, repositories: found.repositories.map(withoutCause), nextCommand, steps },
      lines: [
        ...describeRoot(found),
        ...found.repositories.flatMap((repository) => describe(repository, standing, rolloutStatus)),
        '',
        `Next: ${nextCommand}`,
        ...(steps.length > 1 ? [`${count(steps.length - 1, 'more step')}: gantry next`] : []),
      ],
      exitCode,
    };
  },
};

async function isFile(path: string): Promise<boolean> {
  const { stat } = await import('node:fs/promises');
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}

/** @throws GantryError `usage/option` */
function refuseMisplaced(options: OptionValues, ofWorkspace: readonly string[]): void {
  const misplaced = ofWorkspace.find((name) => options[name] !== undefined);
  if (misplaced === undefined) return;
  const option = misplaced === 'keysDir' ? '--keys-dir' : `--${misplaced}`;
  throw new GantryError(
    'usage/option',
    `Cannot use ${option} together with a repository or a file: it is about the workspace; expected one of them`,
    { option },
  );
}

/** What programs are told of an error. */
function withoutCause({ problem, ...rest }: RepositoryStatus): object {
  return problem === undefined ? rest : { ...rest, problem: { code: problem.code, message: problem.message, details: problem.details } };
}

function describeRoot({ rootVersion, rootMissing, rootStale }: WorkspaceStatus): readonly string[] {
  return [
    rootVersion === undefined
      ? 'No root yet.'
      : `Root chain: ${rootVersion === 1 ? '1.root.json' : `1.root.json to ${rootVersion}.root.json`}`,
    ...(rootStale === true ? ['A root is drafted under a number that is taken.'] : []),
    ...(rootMissing === undefined ? [] : [`A new root is drafted${missingText(rootMissing)}.`]),
  ];
}

function describe(
  { repository, live, rootsWaiting, rootsMissing, findings, updates, draft, problem }: RepositoryStatus,
  { now, nameOf }: Standing,
  rolloutStatus: (update: Update, now: Date) => RolloutStatus,
): readonly string[] {
  return [
    '',
    paintResult('bold', `${repository.variant}/${repository.arch}`),
    ...(problem === undefined ? [] : [paintResult('red', `  cannot be read: ${problem.message}`)]),
    ...(live.length > 0 ? describeRoles(live, now, nameOf) : problem === undefined ? ['  nothing is published yet'] : []),
    ...(updates.length === 0
      ? []
      : [`  releases: ${updates.map((update) => releaseText(update, rolloutStatus(update, now), now)).join('; ')}`]),
    ...(findings.length === 0
      ? []
      : [`  ${count(findings.length, 'finding')}: ${[...new Set(findings.map(({ rule }) => rule))].join(', ')}; gantry lint shows all`]),
    ...(rootsMissing.length === 0
      ? []
      : [paintResult('red', `  the store lacks ${rootsMissing.map((version) => `${version}.root.json`).join(', ')}`)]),
    ...(rootsWaiting === 0 || live.length === 0 ? [] : [`  ${count(rootsWaiting, 'new root')} to be published`]),
    ...(draft === undefined
      ? []
      : [`  draft: ${contentsOf(draft)}${missingText(draft.missing)}${stateOf(draft)}`, ...describeDeadline(draft, now)]),
  ];
}

export function describeRoles(live: readonly RoleStatus[], now: Date, nameOf: Standing['nameOf']): readonly string[] {
  const rows = live.map(({ role, version, expires, renewal, urgency, signedBy, need }) => [
    `  ${role}`,
    String(version),
    expires,
    paintResult(urgency === 'fine' ? 'green' : urgency === 'due' ? 'yellow' : 'red', formatWhen(new Date(expires), now)),
    renewal.slice(0, 'YYYY-MM-DD'.length),
    `${signedBy.length} (needs ${need}): ${signedBy.map(nameOf).toSorted().join(', ')}`,
  ]);
  return table(rows, { head: ['  live', 'version', 'expires', '', 'due', 'signed'], right: [1] });
}

function contentsOf({ releases, edits }: DraftStatus): string {
  return releases.length > 0 ? `release ${releases.join(', ')}` : edits ? 'changes to releases' : 'fresh expiry dates';
}

function stateOf({ overtaken, conflict, expired }: DraftStatus): string {
  if (conflict !== undefined) return `; somebody else has published since, and it does not fit: ${conflict}`;
  return overtaken ? '; somebody else has published since' : expired ? '; it has expired before it was published' : '';
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
