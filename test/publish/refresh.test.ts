/** What a refresh renews, and what it refuses. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { planRefresh, refreshRepository, type RefreshOptions, type RefreshPlan } from '../../lib/publish/refresh.ts';
import { parseExpiryPolicy } from '../../lib/repository/expiry.ts';
import { drafts } from '../support/desk.ts';
import { addVersion, engineerWithRelease, engineerWithRoot, METAL, publish, sign, type Engineer } from '../support/engineer.ts';

const DAY = 86_400_000;

async function engineerLater(t: TestContext, days: number): Promise<Engineer> {
  const engineer = await engineerWithRelease(t, '1.0.0');
  engineer.now = new Date(engineer.now.getTime() + days * DAY);
  return engineer;
}

async function refresh(engineer: Engineer, options: Partial<RefreshOptions> = {}): Promise<RefreshPlan> {
  return refreshRepository(engineer.workspace, engineer.store, METAL, { now: engineer.now, roles: 'due', ...options });
}

async function published(engineer: Engineer): Promise<readonly string[]> {
  await sign(engineer);
  const { applied } = await publish(engineer);
  return applied.map(({ write }) => write.path);
}

const files = (...names: readonly string[]): readonly string[] => names.map((name) => `metal/x86_64/${name}`);

// By default a timestamp lives 7 days and is due 2.1 days before its end; snapshot and targets 14 and 4.2.
for (const [days, roles, writes] of [
  [4.8, [], []],
  [5, ['timestamp'], files('timestamp.json')],
  [6.9, ['timestamp'], files('timestamp.json')],
] as const) {
  test(`refreshRepository() renews ${roles.length === 0 ? 'nothing' : roles.join(', ')} after ${days} days`, async (t) => {
    const engineer = await engineerLater(t, days);
    const plan = await refresh(engineer);
    assert.deepEqual(
      plan.renews.map(({ role }) => role),
      roles,
    );
    assert.deepEqual(plan.writes, writes);
    assert.equal((await drafts(engineer.workspace.directory)).length, roles.length);
    if (roles.length > 0) assert.deepEqual(await published(engineer), writes);
  });
}

test('refreshRepository() renews targets and its parents when they are due, and without the keys of targets only what does not need them', async (t) => {
  const engineer = await engineerLater(t, 5);
  await refresh(engineer);
  await published(engineer);
  engineer.now = new Date(engineer.now.getTime() + 5 * DAY);
  const left = await planRefresh(engineer.workspace, engineer.store, METAL, {
    now: engineer.now,
    roles: 'due',
    hasKeys: () => false,
  });
  assert.deepEqual(
    left.renews.map(({ role }) => role),
    ['snapshot', 'timestamp'],
  );
  assert.deepEqual(
    left.left.map(({ role, urgency }) => [role, urgency]),
    [['targets', 'due']],
  );
  const plan = await refresh(engineer, { hasKeys: ({ keyids }) => keyids.length === 1 });
  assert.deepEqual(
    plan.renews.map(({ role, from, to }) => [role, from.version, to.version, to.expires]),
    [
      ['targets', 1, 2, '2026-06-25T12:00:00Z'],
      ['snapshot', 1, 2, '2026-06-25T12:00:00Z'],
      ['timestamp', 2, 3, '2026-06-18T12:00:00Z'],
    ],
  );
  assert.deepEqual(await published(engineer), plan.writes);
});

test('refreshRepository() drafts once when it is asked twice, and adds to its own draft what became due meanwhile', async (t) => {
  const engineer = await engineerLater(t, 5);
  assert.equal((await refresh(engineer)).state, 'draft');
  const before = await drafts(engineer.workspace.directory);
  assert.equal((await refresh(engineer)).state, 'waits');
  assert.deepEqual(await drafts(engineer.workspace.directory), before);
  const wider = await refresh(engineer, { roles: 'online' });
  assert.equal(wider.state, 'draft');
  assert.deepEqual(await published(engineer), files('2.snapshot.json', 'timestamp.json'));
  assert.equal((await refresh(engineer)).state, 'nothing');
});

test('planRefresh() changes nothing, and refuses what refreshRepository() refuses', async (t) => {
  const engineer = await engineerLater(t, 5);
  const before = await drafts(engineer.workspace.directory);
  const plan = await planRefresh(engineer.workspace, engineer.store, METAL, { now: engineer.now, roles: 'due' });
  assert.deepEqual(await drafts(engineer.workspace.directory), before);
  assert.deepEqual((await refresh(engineer)).writes, plan.writes);
  await sign(engineer);
  await publish(engineer);
  await addVersion(engineer, '1.1.0');
  const refused = { code: 'workspace/draft-waits', message: /Cannot refresh metal\/x86_64: the draft .* waits already/u };
  await assert.rejects(planRefresh(engineer.workspace, engineer.store, METAL, { now: engineer.now, roles: 'online' }), refused);
  await assert.rejects(refresh(engineer, { roles: 'online' }), refused);
});

test('refreshRepository() refuses what has expired, and renews it when somebody says so', async (t) => {
  const engineer = await engineerLater(t, 7);
  const options: RefreshOptions = { now: engineer.now, roles: 'due' };
  const refused = {
    code: 'publish/expired',
    message: /what is live has expired \(timestamp at 2026-06-08T12:00:00Z\), so nothing vouches that it is the newest/u,
    details: { repository: 'metal/x86_64', roles: ['timestamp'] },
  };
  await assert.rejects(planRefresh(engineer.workspace, engineer.store, METAL, options), refused);
  await assert.rejects(refresh(engineer), refused);
  await assert.rejects(refresh(engineer, { roles: 'all' }), refused);
  assert.deepEqual(await drafts(engineer.workspace.directory), []);
  await refresh(engineer, { expired: 'renew' });
  assert.deepEqual(await published(engineer), files('timestamp.json'));
});

test('refreshRepository() signs nothing on top of a live state that does not verify, or that was rolled back', async (t) => {
  const engineer = await engineerLater(t, 5);
  const path = join(engineer.storeDirectory, 'metal', 'x86_64', 'timestamp.json');
  const old = await readFile(path);
  await refresh(engineer);
  await published(engineer);
  await writeFile(path, old);
  await assert.rejects(refresh(engineer, { roles: 'online', expired: 'renew' }), { code: 'publish/rolled-back' });
  await writeFile(path, old.toString('utf8').replace('2026-06-08', '2026-06-09'));
  await assert.rejects(refresh(engineer, { roles: 'online' }), { code: 'tuf/threshold' });
  assert.deepEqual(await drafts(engineer.workspace.directory), []);
});

test('refreshRepository() refuses a renewal that would be due at once, and a repository without a publication', async (t) => {
  const engineer = await engineerLater(t, 5);
  const expiry = parseExpiryPolicy({ timestamp_expiration: '2026-06-08T12:00:00Z' });
  const dated = { ...engineer, workspace: { ...engineer.workspace, expiry } };
  await assert.rejects(refresh(dated), {
    code: 'repository/bad-policy',
    message: /timestamp_expiration of the expiry policy is 2026-06-08T12:00:00Z, so the new version would be due at once/u,
  });
  await assert.rejects(refresh(await engineerWithRoot(t)), { code: 'publish/nothing' });
});
