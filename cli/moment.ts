/** The moment for which a command judges: now, unless somebody asks how it will be, or was. */
import { GantryError } from '../lib/errors.ts';
import type { Context } from './context.ts';
import { textOption } from './options.ts';
import type { OptionSpec, OptionValues } from './program.ts';

export const momentOptions: readonly OptionSpec[] = [
  { flags: '--valid-at <time>', description: 'judge for this moment instead of now: 2026-12-24T00:00:00Z' },
  { flags: '--in <offset>', description: 'judge for so much later: 5d, "2 weeks"' },
];

/** @throws GantryError `usage/option`, `release/bad-time`, `release/bad-duration` */
export async function judgedAt(context: Context, options: OptionValues): Promise<Date> {
  const [at, later] = [textOption(options, 'validAt'), textOption(options, 'in')];
  if (at === undefined && later === undefined) return context.now;
  if (at !== undefined && later !== undefined) {
    throw new GantryError('usage/option', 'Cannot use --valid-at together with --in: both say when; expected one of them', {
      option: '--in',
    });
  }
  const { dateOfInstant, parseMoment } = await import('../lib/release/wave-time.ts');
  if (at !== undefined) return dateOfInstant(parseMoment(at, context.now));
  const { parseOffset } = await import('../lib/release/duration.ts');
  return new Date(context.now.getTime() + parseOffset(later ?? '') * 1000);
}

/** True when another moment than now was asked for. */
export function isMomentGiven(options: OptionValues): boolean {
  return textOption(options, 'validAt') !== undefined || textOption(options, 'in') !== undefined;
}
