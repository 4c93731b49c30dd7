/** Which edits the release lint lets pass: those that make nothing worse. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isGantryError } from '../../lib/errors.ts';
import { assertReleasable, lintRelease, type Offer } from '../../lib/release/lint.ts';
import type { Manifest, Update } from '../../lib/release/manifest.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';

const OPTIONS = { now: new Date('2026-06-01T12:00:00Z'), treeBytes: () => 4096 };
const images = { boot: 'b.lz4', root: 'r.lz4', hash: 'h.lz4' };
const file = { length: 3, hashes: { sha256: sha256Hex(Buffer.from('x')) } };
const CHAIN = { '(1.0.0, 1.1.0)': [], '(1.1.0, 1.2.0)': [] };

const update = (version: string, changes: Partial<Update> = {}): Update => ({
  variant: 'metal',
  arch: 'x86_64',
  version,
  max_version: '1.2.0',
  waves: {},
  images,
  ...changes,
});
const offer = (updates: readonly Update[], migrations: Manifest['migrations'] = CHAIN): Offer => ({
  manifest: { updates, migrations },
  targets: Object.fromEntries(Object.values(images).map((name) => [name, file])),
});
const migrating = (migrations: Manifest['migrations'], versions = ['1.0.0', '1.1.0', '1.2.0']): Offer =>
  offer(
    versions.map((version) => update(version)),
    migrations,
  );

/** The rules that an edit is refused for; empty when it may be made. */
function refusedFor(after: Offer, before: Offer): readonly string[] {
  try {
    assertReleasable(after, before, OPTIONS);
    return [];
  } catch (error) {
    assert.ok(isGantryError(error, 'release/lint'), String(error));
    return error.details.findings.map(({ rule }) => rule);
  }
}

test('assertReleasable() lets an edit pass that makes a broken offer better, step by step', () => {
  const all = ['1.0.0', '1.1.0', '1.2.0'];
  const steps: readonly (readonly [Offer, Offer])[] = [
    // Connected in part: what was unreachable is a gap now.
    [migrating({}), migrating({ '(1.1.0, 1.2.0)': [] })],
    [migrating({ '(1.1.0, 1.2.0)': [] }), migrating({ '(1.1.0, 1.2.0)': [], '(1.0.0, 1.1.0)': [] })],
    // One release less on the other side of the gap, whichever it is.
    ...all.map(
      (gone) =>
        [
          migrating({ '(1.1.0, 1.2.0)': [] }),
          migrating(
            { '(1.1.0, 1.2.0)': [] },
            all.filter((version) => version !== gone),
          ),
        ] as const,
    ),
    // The first of two that are there twice is gone: places have moved.
    [offer([update('1.1.0'), update('1.2.0'), update('1.2.0')]), offer([update('1.2.0'), update('1.2.0')])],
    // Nothing on offer, with another max_version.
    [
      offer([update('1.1.0', { max_version: '1.0.0' }), update('1.2.0', { max_version: '1.0.0' })]),
      offer([update('1.1.0', { max_version: '1.0.9' }), update('1.2.0', { max_version: '1.0.9' })]),
    ],
  ];
  for (const [before, after] of steps) {
    assert.ok(lintRelease(before, before.manifest, OPTIONS).some(({ severity }) => severity === 'error'));
    assert.deepEqual(refusedFor(after, before), []);
  }
});

test('assertReleasable() refuses what an old error does not excuse', () => {
  const split = migrating({ '(1.1.0, 1.2.0)': [] });
  const worse: readonly (readonly [Offer, Offer, string])[] = [
    // Another release on the far side of a gap that was there.
    [
      split,
      offer([...split.manifest.updates, update('1.3.0', { max_version: '1.3.0' })], { '(1.1.0, 1.2.0)': [], '(1.2.0, 1.3.0)': [] }),
      'migration-gap',
    ],
    // The same pair for another architecture.
    [
      split,
      offer(
        [...split.manifest.updates, update('1.0.0', { arch: 'aarch64' }), update('1.1.0', { arch: 'aarch64' })],
        split.manifest.migrations,
      ),
      'unreachable-version',
    ],
    // A target that was missing already, in one more step.
    [
      migrating({ '(1.0.0, 1.1.0)': ['gone'], '(1.1.0, 1.2.0)': [] }),
      migrating({ '(1.0.0, 1.1.0)': ['gone'], '(1.1.0, 1.2.0)': ['gone'] }),
      'migration-missing',
    ],
  ];
  for (const [before, after, rule] of worse) assert.deepEqual(refusedFor(after, before), [rule]);
});

test('assertReleasable() names the first error and counts the others', () => {
  const after = offer([update('1.1.0'), update('1.2.0'), update('1.2.0'), update('1.1.0')]);
  assert.throws(() => assertReleasable(after, offer([]), OPTIONS), {
    code: 'release/lint',
    message:
      'Cannot draft this release: duplicate-update: manifest.updates[2]: 1.2.0 of metal/x86_64 is there already as update 1 (and 1 more)',
  });
});
