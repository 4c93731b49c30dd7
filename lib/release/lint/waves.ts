/** Rules on wave schedules. */
import { SEEDS } from '../eligibility.ts';
import type { Manifest, Update } from '../manifest.ts';
import { instantOf, parseWaveTime, SECOND, waveTime, type Instant } from '../wave-time.ts';
import type { Report } from './rules.ts';
import { titleOf, updatePlace } from './updates.ts';

/** Stock hosts multiply the distance of two waves by their seed; times 2048 this is still a date. */
const FAR = 100n * 365n * 86_400n * SECOND;

export function lintWaves({ updates }: Manifest, published: Manifest, now: Date, report: Report): void {
  const before = new Set(published.updates.map(scheduleText));
  for (const [index, update] of updates.entries()) {
    const at = `${updatePlace(index)}.waves`;
    const waves = Object.entries(update.waves)
      .map(([bound, text]) => ({ bound: Number(bound), time: parseWaveTime(text) ?? 0n }))
      .toSorted((a, b) => a.bound - b.bound);
    for (const [position, { bound, time }] of waves.entries()) {
      const place = `${at}["${bound}"]`;
      if (bound >= SEEDS) report('wave-bound', place, `${titleOf(update)} has a wave with bound ${bound}; expected 0 to ${SEEDS - 1}`);
      const previous = waves[position - 1];
      if (previous === undefined) continue;
      if (time <= previous.time) {
        report(
          'waves-unordered',
          place,
          `${titleOf(update)}: the wave up to ${bound} comes at ${waveTime(time)}, not after the one up to ${previous.bound}`,
        );
      }
      if (time - previous.time > FAR) {
        report('wave-overflow', place, `${titleOf(update)}: the wave up to ${bound} comes more than 100 years after the one before`);
      }
    }
    const last = waves.at(-1)?.time;
    if (last !== undefined && !before.has(scheduleText(update))) lintPast(update, last, instantOf(now), at, report);
  }
}

function lintPast(update: Update, last: Instant, now: Instant, at: string, report: Report): void {
  if (last > now) return;
  report('waves-past', at, `the waves of ${titleOf(update)} were over at ${waveTime(last)}, before they were published`);
}

function scheduleText(update: Update): string {
  return JSON.stringify([update.variant, update.arch, update.version, update.waves]);
}
