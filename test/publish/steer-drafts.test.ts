/** Drafted steering while the world moves on, through the disk and the store. */
import assert from 'node:assert/strict';
import { rm, readFile, stat, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { prepareEdit, removalOf, saveEdit, type PreparedEdit } from '../../lib/publish/edit.ts';
import { readCurrent } from '../../lib/publish/live.ts';
import { publishRepository } from '../../lib/publish/publish.ts';
import type { Change } from '../../lib/repository/draft.ts';
import { findUpdate } from '../../lib/release/find.ts';
import type { Offer } from '../../lib/release/lint.ts';
import type { Update } from '../../lib/release/manifest.ts';
import { draftPath } from '../../lib/workspace/draft-files.ts';
import { METAL, addVersion, engineerWithRelease, publish, sign, type Engineer } from '../support/engineer.ts';

const MINUTE = 60_000;
const name = (version: string): typeof METAL & { readonly version: string } => ({ ...METAL, version });
const later = (engineer: Engineer, minutes: number): string => new Date(engineer.now.getTime() + minutes * MINUTE).toISOString();

async function edit(engineer: Engineer, changesFor: (standing: Offer) => readonly Change[]): Promise<PreparedEdit> {
  const prepared = await prepareEdit(engineer.workspace, engineer.store, METAL, { now: engineer.now, changesFor });
  await saveEdit(engineer.workspace, prepared);
  return prepared;
}

/** @param lead minutes from the engineer's now */
function steer(engineer: Engineer, kind: 'pause-waves' | 'resume-waves', lead: number): () => readonly Change[] {
  return () => [{ kind, update: name('1.2.0'), from: engineer.now.toISOString(), at: later(engineer, lead) }];
}

function wavesFrom(engineer: Engineer): Update['waves'] {
  return { '0': later(engineer, 0), '2047': later(engineer, 6000) };
}

async function underWay(t: Parameters<typeof engineerWithRelease>[0]): Promise<Engineer> {
  const engineer = await engineerWithRelease(t, '1.1.0');
  await addVersion(engineer, '1.2.0');
  await edit(engineer, () => [{ kind: 'set-waves', update: name('1.2.0'), waves: wavesFrom(engineer) }]);
  await sign(engineer);
  await publish(engineer);
  return engineer;
}

async function publishNow(engineer: Engineer): Promise<Update | undefined> {
  await sign(engineer);
  await publishRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now, clock: () => engineer.now });
  const { live } = await readCurrent(engineer.workspace, engineer.store, METAL);
  return live.trusted.manifest.updates.find(({ version }) => version === '1.2.0');
}

const kinds = (changes: readonly Change[] | undefined): readonly string[] => (changes ?? []).map(({ kind }) => kind);

test('a pause and its resumption that both came too late go together when something else is edited', async (t) => {
  const engineer = await underWay(t);
  await edit(engineer, steer(engineer, 'pause-waves', 15));
  await edit(engineer, steer(engineer, 'resume-waves', 30));
  engineer.now = new Date(later(engineer, 60));
  const { draft, dropped } = await edit(engineer, () => [{ kind: 'set-waves', update: name('1.1.0'), waves: {} }]);
  assert.deepEqual(kinds(dropped), ['pause-waves', 'resume-waves']);
  assert.deepEqual(kinds(draft?.changes), ['set-waves']);
  assert.equal((await publishNow(engineer))?.gantry?.paused, undefined);
});

test('pause, resume, pause in one draft publishes the last pause', async (t) => {
  const engineer = await underWay(t);
  for (const [kind, lead] of [
    ['pause-waves', 15],
    ['resume-waves', 20],
    ['pause-waves', 30],
  ] as const)
    await edit(engineer, steer(engineer, kind, lead));
  const moment = later(engineer, 30).replace('.000Z', 'Z');
  assert.equal((await publishNow(engineer))?.gantry?.paused?.at, moment);
  // And on top of what is paused: the pause to come rests on the resumption.
  engineer.now = new Date(later(engineer, 60));
  await edit(engineer, steer(engineer, 'resume-waves', 15));
  const { draft } = await edit(engineer, steer(engineer, 'pause-waves', 45));
  assert.deepEqual(kinds(draft?.changes), ['resume-waves', 'pause-waves']);
  assert.equal((await publishNow(engineer))?.gantry?.paused?.at, later(engineer, 45).replace('.000Z', 'Z'));
});

test('a published pause whose moment is still to come is not replaced by another one', async (t) => {
  const engineer = await underWay(t);
  await edit(engineer, steer(engineer, 'pause-waves', 15));
  await publishNow(engineer);
  // Published behind the first one's moment, it would let in whom the first one held up.
  await assert.rejects(edit(engineer, steer(engineer, 'pause-waves', 30)), { code: 'release/rollout', message: /it is paused from/u });
});

test('a pause that was superseded by a new schedule, a removal or a recall holds up no publication', async (t) => {
  const engineer = await underWay(t);
  const steering: readonly ((standing: Offer) => readonly Change[])[] = [
    () => [{ kind: 'set-waves', update: name('1.2.0'), waves: {} }],
    (standing) => removalOf(standing, name('1.2.0')),
    () => [{ kind: 'recall', update: name('1.2.0'), to: '1.1.0', at: engineer.now.toISOString() }],
  ];
  const started = engineer.now;
  for (const changesFor of steering) {
    engineer.now = started;
    await edit(engineer, steer(engineer, 'pause-waves', 15));
    await edit(engineer, changesFor);
    engineer.now = new Date(later(engineer, 60));
    await sign(engineer);
    const path = draftPath(engineer.workspace, METAL);
    const { dropped } = await prepareEdit(engineer.workspace, engineer.store, METAL, {
      now: engineer.now,
      changesFor: () => [{ kind: 'renew-targets' }],
    });
    assert.deepEqual(dropped, []);
    if (changesFor === steering.at(-1)) break;
    await rm(path);
  }
  const update = await publishNow(engineer);
  assert.equal(update?.max_version, '1.1.0');
});

test('steering of a release that somebody else removed or recalled meanwhile is dropped', async (t) => {
  const engineer = await underWay(t);
  const path = draftPath(engineer.workspace, METAL);
  await edit(engineer, () => [{ kind: 'set-waves', update: name('1.1.0'), waves: {} }]);
  await edit(engineer, steer(engineer, 'pause-waves', 600));
  const mine = await readFile(path);
  for (const theirs of ['recall', 'remove'] as const) {
    await rm(path);
    await edit(engineer, (standing) =>
      theirs === 'remove'
        ? removalOf(standing, name('1.2.0'))
        : [{ kind: 'recall', update: name('1.2.0'), to: '1.1.0', at: engineer.now.toISOString() }],
    );
    await publishNow(engineer);
    await writeFile(path, mine);
    assert.deepEqual((await sign(engineer)).redrafted, [METAL], theirs);
    const { draft } = await readCurrent(engineer.workspace, engineer.store, METAL);
    assert.deepEqual(kinds(draft?.changes), ['set-waves'], theirs);
  }
});

test('removing the only drafted release removes the draft', async (t) => {
  const engineer = await engineerWithRelease(t, '1.1.0');
  await addVersion(engineer, '1.2.0');
  const { draft, after } = await edit(engineer, (standing) => removalOf(standing, name('1.2.0')));
  assert.equal(draft, undefined);
  assert.equal(after.manifest.updates.length, 1);
  await assert.rejects(stat(draftPath(engineer.workspace, METAL)), { code: 'ENOENT' });
});

test('prepareEdit() refuses a recall to a release whose images are not there', async (t) => {
  const engineer = await underWay(t);
  const { live } = await readCurrent(engineer.workspace, engineer.store, METAL);
  const { root } = findUpdate(live.trusted.manifest, name('1.1.0')).images;
  const changes: readonly Change[] = [
    { kind: 'remove-target', path: root },
    { kind: 'recall', update: name('1.2.0'), to: '1.1.0', at: engineer.now.toISOString() },
  ];
  await assert.rejects(
    edit(engineer, () => changes),
    { code: 'release/stranded', details: { version: '1.2.0', to: '1.1.0', why: 'targets' } },
  );
});
