/**
 * Rules on wave schedules: the one of stock hosts, the one that was meant (`gantry.waves`), and the one that a pause keeps
 * (`gantry.paused.waves`).
 */
import { isInert, scheduleOf, SEEDS, targetOf, type WaveSchedule } from '../eligibility.ts';
import type { Manifest, Update } from '../manifest.ts';
import type { Waves } from '../waves.ts';
import { instantOf, LAST_INSTANT, waveTime, type Instant } from '../wave-time.ts';
import type { Report } from './rules.ts';
import { titleOf, updatePlace } from './updates.ts';

/** One of the schedules of an update. */
interface Part {
  readonly update: Update;
  /** Where it stands in the update. */
  readonly member: 'waves' | 'gantry.waves' | 'gantry.paused.waves';
  readonly waves: Waves;
}

export function lintWaves({ updates }: Manifest, published: Manifest, now: Date, report: Report): void {
  const before = new Set(published.updates.flatMap(partsOf).map(textOf));
  for (const [index, update] of updates.entries()) {
    for (const part of partsOf(update)) {
      const at = `${updatePlace(index)}.${part.member}`;
      const schedule = scheduleOf(part.waves);
      lintBounds(part, schedule, at, report);
      const last = schedule.times.at(-1);
      // What a pause keeps was published long before.
      const isNew = part.member !== 'gantry.paused.waves' && !before.has(textOf(part));
      if (last !== undefined && isNew) lintPast(part, last, instantOf(now), at, report);
    }
  }
}

function partsOf(update: Update): readonly Part[] {
  const { waves, gantry } = update;
  return [
    { update, member: 'waves', waves },
    ...(gantry?.waves === undefined ? [] : [{ update, member: 'gantry.waves', waves: gantry.waves } as const]),
    ...(gantry?.paused === undefined ? [] : [{ update, member: 'gantry.paused.waves', waves: gantry.paused.waves } as const]),
  ];
}

function lintBounds(part: Part, schedule: WaveSchedule, at: string, report: Report): void {
  const title = describe(part);
  for (const [index, bound] of schedule.bounds.entries()) {
    const place = `${at}["${bound}"]`;
    if (bound >= SEEDS) report('wave-bound', place, `${title} has a wave with bound ${bound}; expected 0 to ${SEEDS - 1}`);
    const [time, previous] = [schedule.times[index], schedule.times[index - 1]];
    if (time === undefined || previous === undefined) continue;
    if (time <= previous) {
      report(
        'waves-unordered',
        place,
        `${title}: the wave up to ${bound} comes at ${waveTime(time)}, not after the one up to ${schedule.bounds[index - 1]}`,
      );
    }
    // Our own agents count from the wave's start: what they compute lies within the wave.
    if (part.member !== 'gantry.waves' && !isInert(bound) && targetOf(schedule, index, bound, 'stock') > LAST_INSTANT) {
      report(
        'wave-overflow',
        place,
        `${title}: in the wave up to ${bound} a host with that seed computes a date beyond the year 262142: ${waveTime(time)} is too long after ${waveTime(previous)}`,
      );
    }
  }
}

function lintPast(part: Part, last: Instant, now: Instant, at: string, report: Report): void {
  if (last > now) return;
  const whose = part.member === 'waves' ? 'the waves' : `the waves in ${part.member}`;
  report('waves-past', at, `${whose} of ${titleOf(part.update)} were over at ${waveTime(last)}, before they were published`);
}

/** `1.2.0 of metal/x86_64`, and which of its schedules when it is not the one of stock hosts. */
function describe({ update, member }: Part): string {
  return member === 'waves' ? titleOf(update) : `${titleOf(update)} (${member})`;
}

/** A schedule that moves from one member to another, as pausing and resuming do, is no new one. */
function textOf({ update: { variant, arch, version }, waves }: Part): string {
  return JSON.stringify([variant, arch, version, waves]);
}
