/** Some of many, at random and again: what a check looks at when all would take too long. */
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { uniformInt } from 'pure-rand/distribution/uniformInt';

/**
 * Each as likely as any other; the same seed takes the same ones of the same list, in the list's order.
 *
 * @param seed a whole number below 2^32
 */
export function sampleOf<T>(all: readonly T[], size: number, seed: number): readonly T[] {
  if (size >= all.length) return all;
  const generator = xoroshiro128plus(seed);
  const places = all.map((_, place) => place);
  for (let taken = 0; taken < size; taken += 1) {
    const other = uniformInt(generator, taken, all.length - 1);
    [places[taken], places[other]] = [places[other] ?? 0, places[taken] ?? 0];
  }
  const chosen = new Set(places.slice(0, size));
  return all.filter((_, place) => chosen.has(place));
}
