/** What the commands say of releases while drafts wait, and of what cannot be done. */
import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { test } from 'node:test';
import { ADD, gantry } from '../support/cli.ts';
import { publish, rolloutUnderWay } from '../support/desk.ts';

const underWay = rolloutUnderWay();

test('gantry says what hosts see now by what is published, whatever is drafted', async (t) => {
  const desk = await underWay(t);
  await desk.run('wave', 'set', '1.2.0', '--immediately');
  const dry = await desk.run('wave', 'abort', '1.2.0', '--dry-run');
  assert.match(
    dry.stderr,
    /^metal\/x86_64 1\.2\.0: nobody is offered it once this is published \(< 0\.1 % of the fleet is now\); hosts that have/u,
  );
  const recalled = await desk.run('release', 'recall', '1.2.0', '--to', '1.1.0');
  assert.match(recalled.stderr, /nobody is offered it \(< 0\.1 % of the fleet is now\)/u);
  const { stderr } = await desk.run('wave', 'set', '1.1.0', '--immediately', '--dry-run');
  assert.doesNotMatch(stderr, /wait again/u);
});

test('gantry wave abort and release remove say that hosts of a recalled release go back', async (t) => {
  const desk = await underWay(t);
  await desk.run('release', 'recall', '1.2.0', '--to', '1.1.0');
  await publish(desk);
  const goes =
    /^metal\/x86_64 1\.2\.0: nobody is offered it once this is published \(nor is anybody now\).*; hosts that still run it go back to 1\.1\.0 at their next check\.$/mu;
  assert.match((await desk.run('wave', 'abort', '1.2.0', '--dry-run')).stderr, goes);
  assert.match((await desk.run('release', 'remove', '1.2.0', '--dry-run')).stderr, goes);
});

test('a drafted abort is seen wherever releases are looked at', async (t) => {
  const desk = await underWay(t);
  await desk.run('wave', 'abort', '1.2.0');
  assert.match((await desk.run('release', 'list')).stdout, /^metal +x86_64 +1\.2\.0 +removed +starts in/mu);
  assert.match((await desk.run('wave', 'show')).stdout, /^metal +x86_64 +1\.2\.0 .* taken away by the draft$/mu);
  assert.match((await desk.run('wave', 'show', '1.2.0')).stdout, /^metal\/x86_64 1\.2\.0 \(taken away by the draft\): /u);
  await desk.run('sign');
  assert.match((await desk.run('publish', '--dry-run')).stdout, /^metal\/x86_64 1\.2\.0: nobody is offered it any more\.$/mu);
  const { rollouts } = await desk.json('publish');
  assert.deepEqual(rollouts, [{ variant: 'metal', arch: 'x86_64', version: '1.2.0', state: 'removed' }]);
});

test('a release is changed by what hosts notice, not by the max_version that the next one moves', async (t) => {
  const desk = await underWay(t);
  await desk.run('release', 'add', '1.3.0', ...ADD.slice(3));
  const { releases } = (await desk.json('release', 'list')) as unknown as { releases: readonly { version: string; state: string }[] };
  assert.deepEqual(
    releases.map(({ version, state }) => `${version} ${state}`),
    ['1.1.0 published', '1.2.0 published', '1.3.0 draft'],
  );
});

test('the commands that show releases agree on the names of their members', async (t) => {
  const desk = await underWay(t);
  const one = async (member: string, ...args: readonly string[]): Promise<Record<string, unknown>> =>
    ((await desk.json(...args))[member] as unknown as readonly Record<string, unknown>[]).at(-1) ?? {};
  const shown = [
    await one('releases', 'release', 'list'),
    await one('releases', 'release', 'show', '1.2.0'),
    await one('rollouts', 'wave', 'show'),
    await one('rollouts', 'wave', 'show', '1.2.0', '--seed', '7'),
  ].map(({ variant, arch, version, state, rollout }) => ({ variant, arch, version, state, rollout }));
  for (const other of shown) assert.deepEqual(other, shown[0]);
  assert.deepEqual((await one('releases', 'release', 'show', '1.2.0'))['migrations'], [{ from: '1.1.0', to: '1.2.0', targets: [] }]);
});

test('gantry lint names a folder that is no repository, and takes no choice of repositories beside a folder', async (t) => {
  const desk = await underWay(t);
  await desk.refused(3, /Cannot lint "nope": neither timestamp\.json nor 1\.root\.json is there/u, 'lint', 'nope');
  await desk.refused(2, /Cannot use --variant together with a folder/u, 'lint', '../public/metal/x86_64', '--variant', 'metal');
  await desk.run('lint', '../public/metal/x86_64');
});

test('gantry status and publish --dry-run tell the deadline of a draft', async (t) => {
  const desk = await underWay(t);
  await desk.run('wave', 'pause', '1.2.0', '--lead', '0 minutes');
  await setTimeout(1100);
  const { stdout } = await desk.run('status');
  assert.match(stdout, /^ {2}it came too late: it had to be published before \S+Z \(less than a minute ago\)$/mu);
  assert.match(stdout, /^Next: gantry wave pause 1\.2\.0 --variant metal --arch x86_64$/mu);
  const { nextCommand } = (await desk.json('status')) as unknown as { nextCommand?: string };
  await desk.run(...(nextCommand ?? '').split(' ').slice(1));
});

test('gantry wave pause names a shorter lead when the rollout would be done by then', async (t) => {
  const desk = await underWay(t);
  const late = ['wave', 'pause', '1.2.0', '--lead', '30 days'];
  await desk.refused(3, /every host may have it from \S+Z on, before that holds; expected a moment before$/u, ...late);
  assert.match((await gantry(late, { cwd: desk.workspace })).stderr, /hint: give a shorter --lead/u);
});
