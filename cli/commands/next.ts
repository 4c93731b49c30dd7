import type { CommandSpec } from '../program.ts';
import { readStanding, standingOptions } from '../standing.ts';
import { paintResult } from '../ui/style.ts';

export const next: CommandSpec = {
  name: 'next',
  summary: 'what is to be done, in order, with the commands to type',
  description: 'Exits as gantry status does: 10 when a live role is due, 11 when one has expired.',
  options: standingOptions,
  examples: ['gantry next', 'gantry next --in 5d'],
  async run(context, _, options) {
    const { steps, status, exitCode } = await readStanding(context, options);
    const lines = steps.flatMap(({ why, commands, repositories }, index) => {
      const of = repositories.length === 0 ? '' : ` (${repositories.map(({ variant, arch }) => `${variant}/${arch}`).join(', ')})`;
      return [`${index + 1}. ${why}${of}`, ...commands.map((command) => paintResult('bold', `   ${command}`))];
    });
    return {
      json: { urgency: status.urgency, steps },
      lines: steps.length === 0 ? ['Nothing; hosts are served.'] : lines,
      exitCode,
    };
  },
};
