/** What stays of drafted changes when time passes, when others publish, and when more is drafted. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Offer } from '../../lib/release/lint.ts';
import type { Update } from '../../lib/release/manifest.ts';
import type { Change } from '../../lib/repository/draft.ts';
import { deadlineOf, remainingChanges, withoutLate, withoutSuperseded, withoutUndone } from '../../lib/repository/draft-changes.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';

const NAME = { variant: 'metal', arch: 'x86_64', version: '1.2.0' };
const OTHER = { ...NAME, version: '1.1.0' };
const WAVES = { '0': '2026-06-01T00:00:00Z', '2047': '2026-06-09T00:00:00Z' };
const at = (time: string): string => `2026-06-01T${time}:00Z`;
const moment = (time: string): Date => new Date(at(time));

const released = (name: typeof NAME, changes: Partial<Update> = {}): Update => ({
  ...name,
  max_version: '1.2.0',
  waves: WAVES,
  images: { boot: 'b', root: `r-${name.version}`, hash: 'h' },
  ...changes,
});
const live = (...updates: readonly Update[]): Offer => ({ manifest: { updates, migrations: {} }, targets: {} });
const RUNNING = live(released(OTHER), released(NAME));
const PAUSED = live(released(OTHER), released(NAME, { gantry: { paused: { at: at('11:00'), waves: WAVES } } }));

const pause = (time: string, update = NAME): Change => ({ kind: 'pause-waves', update, from: at('12:00'), at: at(time) });
const resume = (time: string, update = NAME): Change => ({ kind: 'resume-waves', update, from: at('12:00'), at: at(time) });
const set = (update = NAME): Change => ({ kind: 'set-waves', update, waves: {} });
const accelerate: Change = { kind: 'accelerate-waves', update: NAME, from: at('12:00'), at: at('12:00'), factor: 2 };
const remove = (update = NAME): Change => ({ kind: 'remove-update', update });
const recall: Change = { kind: 'recall', update: NAME, to: '1.1.0', at: at('12:00') };
const add = (version: string): Change => ({
  kind: 'add-update',
  update: { ...NAME, version, images: { boot: 'b', root: `r-${version}`, hash: 'h' } },
});
const put = (path: string): Change => ({ kind: 'put-target', path, file: { length: 1, hashes: { sha256: sha256Hex(Buffer.from(path)) } } });

test('withoutLate() drops a pause whose moment has passed, and the resumption that rested on it', () => {
  const changes = [{ kind: 'renew-targets' } as const, pause('12:15'), resume('14:00'), set(OTHER)];
  assert.deepEqual(withoutLate(changes, RUNNING, moment('12:14')), { kept: changes, dropped: [] });
  assert.deepEqual(withoutLate(changes, RUNNING, moment('12:15')), {
    kept: [changes[0], changes[3]],
    dropped: [changes[1], changes[2]],
  });
  // What is paused already needs no drafted pause.
  assert.deepEqual(withoutLate([pause('12:15'), resume('14:00')], PAUSED, moment('12:30')), {
    kept: [resume('14:00')],
    dropped: [pause('12:15')],
  });
});

test('withoutLate() drops a resumption that came too late, and keeps the pause before it that did not', () => {
  assert.deepEqual(withoutLate([resume('12:15')], PAUSED, moment('12:15')), { kept: [], dropped: [resume('12:15')] });
  assert.deepEqual(withoutLate([pause('14:00'), resume('12:15')], RUNNING, moment('12:30')), {
    kept: [pause('14:00')],
    dropped: [resume('12:15')],
  });
});

test('withoutLate() and deadlineOf() leave a pause alone that a new schedule, a removal or a recall made idle', () => {
  for (const later of [set(), remove(), recall]) {
    const changes = [pause('12:15'), later];
    assert.deepEqual(withoutLate(changes, RUNNING, moment('13:00')), { kept: changes, dropped: [] }, later.kind);
    assert.equal(deadlineOf(changes), undefined, later.kind);
  }
  for (const later of [set(OTHER), remove(OTHER), accelerate]) {
    const changes = [pause('12:15'), later];
    assert.deepEqual(withoutLate(changes, RUNNING, moment('13:00')).dropped, [pause('12:15')], later.kind);
    assert.deepEqual(deadlineOf(changes), moment('12:15'), later.kind);
  }
  // Before the pause, it changes nothing about it.
  assert.deepEqual(deadlineOf([set(), pause('12:15'), resume('13:00')]), moment('12:15'));
  assert.equal(deadlineOf([accelerate]), undefined);
});

test('withoutSuperseded() keeps of pauses and resumptions what the last one rests on', () => {
  const rest = (changes: readonly Change[], added: Change, standing: Offer): readonly Change[] =>
    withoutSuperseded(changes, [added], standing);
  // Pause, resume, pause: the last pause stands alone.
  assert.deepEqual(rest([pause('12:15')], resume('13:00'), RUNNING), [pause('12:15')]);
  assert.deepEqual(rest([pause('12:15'), resume('13:00')], pause('14:00'), RUNNING), []);
  assert.deepEqual(rest([pause('12:15'), resume('13:00')], resume('14:00'), RUNNING), [pause('12:15')]);
  // The same on top of a pause that is live: it needs the resumption.
  assert.deepEqual(rest([resume('12:15')], pause('13:00'), PAUSED), [resume('12:15')]);
  assert.deepEqual(rest([resume('12:15'), pause('13:00')], resume('14:00'), PAUSED), []);
  assert.deepEqual(rest([resume('12:15'), pause('13:00')], pause('14:00'), PAUSED), [resume('12:15')]);
  // Of another release, nothing.
  assert.deepEqual(rest([pause('12:15', OTHER)], pause('14:00'), RUNNING), [pause('12:15', OTHER)]);
});

test('withoutSuperseded() drops steering that a new schedule or a removal ends', () => {
  const changes = [set(), accelerate, pause('12:15'), put('x'), set(OTHER)];
  assert.deepEqual(withoutSuperseded(changes, [remove()], RUNNING), [put('x'), set(OTHER)]);
  assert.deepEqual(withoutSuperseded(changes, [set()], RUNNING), [set(), accelerate, put('x'), set(OTHER)]);
  assert.deepEqual(withoutSuperseded(changes, [recall], RUNNING), changes);
});

test('remainingChanges() drops what has no release to change any more, or one that was recalled', () => {
  const changes = [
    set(),
    accelerate,
    pause('12:15'),
    recall,
    remove(),
    set(OTHER),
    put('x'),
    { kind: 'remove-target', path: 'y' } as const,
  ];
  assert.deepEqual(remainingChanges(changes, live(released(OTHER))), [set(OTHER), put('x')]);
  const recalled = live(released(OTHER, { max_version: '1.1.0' }), released(NAME, { max_version: '1.1.0' }));
  assert.deepEqual(remainingChanges(changes, recalled), [remove(), set(OTHER), put('x')]);
  // Somebody else sends hosts to another release than this draft would.
  const elsewhere = live(released(NAME, { max_version: '1.0.0' }));
  assert.deepEqual(remainingChanges([recall], elsewhere), [recall]);
});

test('remainingChanges() keeps what changes a release of the draft, and drops what is live', () => {
  const file = { length: 1, hashes: { sha256: sha256Hex(Buffer.from('x')) } };
  const changes = [put('x'), add('1.3.0'), set({ ...NAME, version: '1.3.0' })];
  assert.deepEqual(remainingChanges(changes, RUNNING), changes);
  const published = { ...live(released(NAME), released({ ...NAME, version: '1.3.0' }, { max_version: '1.3.0' })), targets: { x: file } };
  assert.deepEqual(remainingChanges(changes, published), [changes[2]]);
});

test('withoutUndone() takes a drafted release out with all that came with it', () => {
  const first = [put('a'), add('1.3.0')];
  const steps: Change = { kind: 'set-migrations', migrations: {} };
  const second = [put('b'), put('c'), steps, add('1.4.0')];
  const undo = (version: string, changes: readonly Change[]): ReturnType<typeof withoutUndone> =>
    withoutUndone(changes, [remove({ ...NAME, version }), { kind: 'remove-target', path: 'b' }, { kind: 'remove-target', path: 'live' }]);
  const left = { kind: 'remove-target', path: 'live' } as const;
  const later = set({ ...NAME, version: '1.4.0' });
  assert.deepEqual(undo('1.4.0', [set(), ...first, ...second, later, accelerate]), { kept: [set(), ...first, accelerate], added: [left] });
  assert.deepEqual(undo('1.3.0', [...first, ...second]).kept, second);
  // What is published is removed as ever.
  const plain = [remove()];
  assert.deepEqual(withoutUndone([set()], plain), { kept: [set()], added: plain });
  // A release that was removed and is added again: the removal stays.
  assert.deepEqual(withoutUndone([remove(), put('a'), add('1.2.0')], plain), { kept: [remove()], added: [] });
});
