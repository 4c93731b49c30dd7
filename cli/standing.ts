/** Where things stand, read once for `gantry status` and `gantry next`: both judge, count and exit alike. */
import type { WorkspaceStatus } from '../lib/publish/status.ts';
import type { Urgency } from '../lib/repository/expiry.ts';
import { keysAtHand } from './at-hand.ts';
import type { Context } from './context.ts';
import { keyNames } from './drafts.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { judgedAt, momentOptions } from './moment.ts';
import { stepsOf, type Step } from './next-steps.ts';
import { keysDirOption, pathOf, storeOption, textOption } from './options.ts';
import type { OptionSpec, OptionValues } from './program.ts';
import { openWorkspaceSession } from './session.ts';

export const EXIT_OF: Readonly<Record<Urgency, number>> = { fine: EXIT.done, due: EXIT.due, overdue: EXIT.overdue };

export const standingOptions: readonly OptionSpec[] = [
  keysDirOption,
  storeOption,
  ...momentOptions,
  { flags: '--metrics <file>', description: 'write it to this file for Prometheus too, whatever the exit code is' },
];

export interface Standing {
  readonly status: WorkspaceStatus;
  readonly steps: readonly Step[];
  readonly now: Date;
  readonly nameOf: (keyId: string) => string;
  readonly exitCode: number;
}

export async function readStanding(context: Context, options: OptionValues): Promise<Standing> {
  const now = await judgedAt(context, options);
  const { workspace, store } = await openWorkspaceSession(context, options);
  const { readStatus } = await import('../lib/publish/status.ts');
  const atHand = await keysAtHand(context, options, workspace);
  const status = await readStatus(workspace, store, {
    now,
    canSign: async (missing) => missing.some(({ candidates }) => candidates.some((keyId) => atHand.has(keyId))),
  });
  const nameOf = await keyNames(workspace);
  const metrics = textOption(options, 'metrics');
  if (metrics !== undefined) {
    const { writeFileAtomic } = await import('../lib/files/atomic.ts');
    const { metricsText } = await import('./ui/metrics.ts');
    await writeFileAtomic(pathOf(context, metrics), metricsText(status, workspace.config.product, context.now));
  }
  const [problem] = status.repositories.flatMap((one) => one.problem ?? []);
  return {
    status,
    steps: stepsOf(status, { nameOf, storeText: textOption(options, 'store') ?? workspace.config.store }),
    now,
    nameOf,
    // Of a repository that cannot be read nobody knows whether it is fine.
    exitCode: problem === undefined ? EXIT_OF[status.urgency] : exitCodeOf(problem.code),
  };
}
