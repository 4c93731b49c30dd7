/**
 * A status in the text format of Prometheus, version 0.0.4, for node_exporter's textfile collector.
 *
 * Rules: dates are seconds since 1970, so that alerts compare them with `time()` and stay right when nobody writes the file any more;
 * names are public API.
 */
import type { WorkspaceStatus } from '../../lib/publish/status.ts';

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];

const URGENCY = { fine: 0, due: 1, overdue: 2 } as const;

export function metricsText(
  { repositories, rootVersion, rootMissing, urgency, actions }: WorkspaceStatus,
  product: string,
  now: Date,
): string {
  const of = ({ repository: { variant, arch } }: (typeof repositories)[number]): Labels => ({ product, variant, arch });
  const roles = (value: (role: (typeof repositories)[number]['live'][number]) => number): readonly Sample[] =>
    repositories.flatMap((one) => one.live.map((role): Sample => [{ ...of(one), role: role.role }, value(role)]));
  const each = (value: (one: (typeof repositories)[number]) => number): readonly Sample[] =>
    repositories.map((one): Sample => [of(one), value(one)]);
  const seconds = (text: string): number => new Date(text).getTime() / 1000;
  const findings = (severity: 'error' | 'warning'): readonly Sample[] =>
    repositories.map((one): Sample => [{ ...of(one), severity }, one.findings.filter((finding) => finding.severity === severity).length]);
  return [
    ...family('gantry_status_timestamp_seconds', 'When this was written.', [[{ product }, Math.floor(now.getTime() / 1000)]]),
    ...family('gantry_status_urgency', '0: fine, 1: something is due, 2: something has expired.', [[{ product }, URGENCY[urgency]]]),
    ...family('gantry_status_actions', 'Things that somebody has to do; gantry next names them.', [[{ product }, actions.length]]),
    ...family('gantry_root_version', 'Newest root of the workspace.', rootVersion === undefined ? [] : [[{ product }, rootVersion]]),
    ...family('gantry_root_draft_waiting', '1 while a drafted root waits for signatures.', [
      [{ product }, rootMissing === undefined ? 0 : 1],
    ]),
    ...family(
      'gantry_repository_readable',
      '0 when the live state cannot be read or verified.',
      each(({ problem }) => (problem === undefined ? 1 : 0)),
    ),
    ...family(
      'gantry_role_version',
      'Live version of a role.',
      roles(({ version }) => version),
    ),
    ...family(
      'gantry_role_expires_timestamp_seconds',
      'When a live role expires.',
      roles(({ expires }) => seconds(expires)),
    ),
    ...family(
      'gantry_role_renewal_timestamp_seconds',
      'From when on a live role is due.',
      roles(({ renewal }) => seconds(renewal)),
    ),
    ...family(
      'gantry_role_signatures',
      'Signatures of a live role that count.',
      roles(({ signedBy }) => signedBy.length),
    ),
    ...family(
      'gantry_role_threshold',
      'Signatures that a live role needs.',
      roles(({ need }) => need),
    ),
    ...family(
      'gantry_draft_waiting',
      '1 while a draft waits.',
      each(({ draft }) => (draft === undefined ? 0 : 1)),
    ),
    ...family(
      'gantry_roots_waiting',
      'Roots that are signed and not published.',
      each(({ rootsWaiting }) => rootsWaiting),
    ),
    ...family(
      'gantry_roots_missing',
      'Roots that hosts need and the store lacks.',
      each(({ rootsMissing }) => rootsMissing.length),
    ),
    ...family('gantry_findings', 'Findings of the lints on what is live.', [...findings('error'), ...findings('warning')]),
  ]
    .map((line) => `${line}\n`)
    .join('');
}

function family(name: string, help: string, samples: readonly Sample[]): readonly string[] {
  if (samples.length === 0) return [];
  return [`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, ...samples.map(([labels, value]) => `${name}{${labelText(labels)}} ${value}`)];
}

function labelText(labels: Labels): string {
  return Object.entries(labels)
    .map(
      ([name, value]) =>
        `${name}="${value
          .replaceAll('\\', '\\\\')
          .replaceAll('"', String.raw`\"`)
          .replaceAll('\n', String.raw`\n`)}"`,
    )
    .join(',');
}
