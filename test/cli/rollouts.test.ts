/** The commands that steer releases, as a release engineer types them. */
import assert from 'node:assert/strict';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { readySeeds, scheduleOf } from '../../lib/release/eligibility.ts';
import type { Update } from '../../lib/release/manifest.ts';
import { instantOf } from '../../lib/release/wave-time.ts';
import { ADD, cliWorkspace, gantry } from '../support/cli.ts';
import { deskOf, drafts, publish, rolloutUnderWay, waves } from '../support/desk.ts';
import { writeImages } from '../support/engineer.ts';

const underWay = rolloutUnderWay();

const share = (schedule: Update['waves'], days: number): number =>
  readySeeds(scheduleOf(schedule), instantOf(new Date(Date.now() + days * 86_400_000))) / 2048;

test('gantry wave pauses, resumes and accelerates a rollout, and says what hosts will see', async (t) => {
  const desk = await underWay(t);
  assert.ok(share(await waves(desk), 10) === 1);
  const paused = await desk.run('wave', 'pause', '1.2.0');
  assert.match(
    paused.stderr,
    /^metal\/x86_64 1\.2\.0: from \S+Z \(in 1[45] minutes\) on nobody new is offered it; the < 0\.1 % of the fleet that may have it by then keep it\. Publish it before that moment\.$/mu,
  );
  // What is only drafted is replaced.
  await desk.run('wave', 'pause', '1.2.0', '--lead', '15 minutes');
  assert.match(
    (await publish(desk)).stdout,
    /metal\/x86_64 1\.2\.0: < 0\.1 % of the fleet is offered it, and it pauses in 1[45] minutes\./u,
  );
  assert.ok(share(await waves(desk), 1000) < 0.001);
  await desk.refused(3, /it is paused from/u, 'wave', 'pause', '1.2.0', '--lead', '5 minutes');
  await desk.refused(3, /it is paused from/u, 'wave', 'accelerate', '1.2.0');

  const resumed = await desk.run('wave', 'resume', '1.2.0', '--lead', '1 hour');
  assert.match(
    resumed.stderr,
    /goes on at \S+Z \(in (?:59 minutes|1 hour)\); the > 99\.9 % of the fleet that are still to come wait as long/u,
  );
  await publish(desk);
  assert.ok(share(await waves(desk), 3) < 0.4 && share(await waves(desk), 10) === 1);

  const faster = await desk.run('wave', 'accelerate', '1.2.0', '--factor', '4');
  assert.match(
    faster.stderr,
    /: from \S+Z \(in less than a minute\) on, the > 99\.9 % .* are offered it 4 times as fast: the last hosts are offered it at \S+Z \(in 3[5-7] hours\) instead of \S+Z\. It may be published later than that/mu,
  );
  await publish(desk);
  assert.equal(share(await waves(desk), 1.6), 1);
  const { rollouts } = (await desk.json('wave', 'show')) as unknown as {
    rollouts: readonly { version: string; state: string; rollout: { state: string; ends?: string } }[];
  };
  assert.deepEqual(
    rollouts.map(({ version, state, rollout }) => [version, state, rollout.state]),
    [
      ['1.1.0', 'published', 'everyone'],
      ['1.2.0', 'published', 'scheduled'],
    ],
  );
  assert.match(rollouts[1]?.rollout.ends ?? '', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/u);
});

test('gantry wave set writes what pubsys would with --exact, and narrow waves without', async (t) => {
  const desk = await underWay(t);
  await desk.run('wave', 'set', '1.2.0', '--policy', 'accelerated-waves', '--exact', '--start', '2099-01-01T00:00:00Z');
  assert.deepEqual(await waves(desk), {
    '0': '2099-01-01T01:00:00Z',
    '61': '2099-01-01T04:00:00Z',
    '245': '2099-01-01T08:00:00Z',
    '819': '2099-01-01T16:00:00Z',
    '1638': '2099-01-02T00:00:00Z',
  });
  await desk.run('wave', 'set', '1.2.0', '--policy', 'policies/waves/accelerated-waves.toml', '--start', '2099-01-01T00:00:00Z');
  const many = Object.keys(await waves(desk)).length;
  assert.ok(many > 70 && many < 110, String(many));
  await writeFile(join(desk.workspace, 'one.toml'), '[[waves]]\nstart_after = "1 hour"\nfleet_percentage = 100\n');
  const one = await desk.run('wave', 'set', '1.2.0', '--policy', './one.toml', '--exact', '--dry-run');
  assert.match(one.stderr, /^metal\/x86_64 1\.2\.0: every host is offered it at \S+Z \(in 1 hour\)\.$/mu);
  const now = await desk.run('wave', 'set', '1.2.0', '--immediately');
  assert.match(now.stderr, /every host is offered it once this is published\./u);
  assert.deepEqual(await waves(desk), {});
});

test('gantry wave set says who has to wait again', async (t) => {
  const desk = await underWay(t);
  const { stderr } = await desk.run('wave', 'set', '1.1.0', '--policy', 'slow-roll');
  assert.match(stderr, /> 99\.9 % of the fleet, offered it now, will wait again; who has installed it keeps it\./u);
});

test('gantry release recall sends hosts back, and refuses what would strand them', async (t) => {
  const desk = await underWay(t);
  await desk.refused(3, /1\.2\.0 is not older/u, 'release', 'recall', '1.1.0', '--to', '1.2.0');
  const { stderr } = await desk.run('release', 'recall', '1.2.0', '--to', '1.1.0');
  assert.match(
    stderr,
    /once this is published, nobody is offered it \(< 0\.1 % of the fleet is now\), and hosts that run it go back to 1\.1\.0 at their next check\./u,
  );
  await publish(desk);
  const { releases } = (await desk.json('release', 'list')) as unknown as {
    releases: readonly { version: string; maxVersion: string; rollout: { state: string } }[];
  };
  assert.deepEqual(
    releases.map(({ version, maxVersion, rollout }) => [version, maxVersion, rollout.state]),
    [
      ['1.1.0', '1.1.0', 'everyone'],
      ['1.2.0', '1.1.0', 'withdrawn'],
    ],
  );
  await desk.refused(3, /it is recalled already/u, 'release', 'recall', '1.2.0', '--to', '1.1.0');
  await desk.refused(3, /1\.2\.0 was recalled, and would be offered again/u, 'release', 'add', '1.2.1', ...ADD.slice(3));
  const lint = await gantry(['lint', '--json'], { cwd: desk.workspace });
  const { findings } = JSON.parse(lint.stdout) as { findings: readonly { rule: string }[] };
  assert.ok(findings.some(({ rule }) => rule === 'withdrawn'));
});

test('gantry release recall refuses a release that is not open to the whole fleet', async (t) => {
  const desk = await underWay(t);
  await desk.run('wave', 'set', '1.1.0', '--policy', 'slow-roll');
  await desk.refused(3, /1\.1\.0 is open to 0 % of the fleet only; expected all of it/u, 'release', 'recall', '1.2.0', '--to', '1.1.0');
});

test('gantry wave abort takes the offer and its images away', async (t) => {
  const desk = await underWay(t);
  const dry = await desk.run('wave', 'abort', '1.2.0', '--dry-run');
  assert.match(
    dry.stderr,
    /nobody is offered it once this is published .*hosts that have installed it stay on it until a newer release is there\./u,
  );
  assert.deepEqual(await drafts(desk.workspace), []);
  await desk.run('wave', 'abort', '1.2.0');
  await publish(desk);
  await desk.refused(3, /1\.2\.0 .*not one of 1\.1\.0/u, 'wave', 'show', '1.2.0');
  assert.equal((await desk.run('lint')).stdout.includes('target-unreferenced'), false);
});

test('gantry wave show tells a host when its turn comes', async (t) => {
  const desk = await underWay(t);
  const { stdout } = await desk.run('wave', 'show', '1.2.0', '--seed', '1843');
  assert.match(stdout, /The host with seed 1843 may have it from \S+Z on \(in (?:5\.9|6) days\)\./u);
  assert.match(stdout, /stock hosts {2}as intended/u);
  await desk.refused(2, /--seed "2048": expected a whole number from 0 to 2047/u, 'wave', 'show', '--seed', '2048');
});

test('gantry says what is wrong with a policy, a time and a schedule, and changes nothing', async (t) => {
  const desk = await underWay(t);
  const set = ['wave', 'set', '1.2.0'] as const;
  await writeFile(
    join(desk.workspace, 'bad.toml'),
    '[[waves]]\nstart_after = "1 hour"\nfleet_percentage = 5\n\n[[waves]]\nstart_after = "2 fortnights"\nfleet_percentage = 10\n',
  );
  await desk.refused(
    3,
    /bad\.toml": line 6, column 15: start_after is "2 fortnights"; expected a count and minutes/u,
    ...set,
    '--policy',
    'bad.toml',
  );
  await writeFile(join(desk.workspace, 'empty.toml'), '');
  await desk.refused(3, /empty\.toml": line 1, column 1: it has no waves/u, ...set, '--policy', './empty.toml');
  await desk.refused(3, /"nope".*expected one of accelerated-waves, default-waves, ohno, slow-roll/u, ...set, '--policy', 'nope');
  await desk.refused(2, /--start 2020-01-01T00:00:00Z: it is in the past/u, ...set, '--policy', 'ohno', '--start', '2020-01-01T00:00:00Z');
  await desk.refused(2, /--policy "": it is empty; expected the name of a policy/u, ...set, '--policy', '');
  await desk.refused(2, /--wave-policy "": it is empty/u, 'release', 'add', '1.3.0', ...ADD.slice(3), '--wave-policy', '');
  await desk.refused(2, /--lead "soon": expected a length of time such as/u, 'wave', 'pause', '1.2.0', '--lead', 'soon');
  await desk.refused(2, /--start "tomorow": expected RFC 3339/u, ...set, '--policy', 'ohno', '--start', 'tomorow');
  await desk.refused(2, /expected exactly one of them/u, ...set);
  await desk.refused(2, /--factor "0\.5"/u, 'wave', 'accelerate', '1.2.0', '--factor', '0.5');
  await desk.refused(3, /it is not paused/u, 'wave', 'resume', '1.2.0');
  await desk.refused(3, /every host may have it already/u, 'wave', 'pause', '1.1.0');
  await desk.refused(3, /not one of 1\.1\.0, 1\.2\.0/u, 'wave', 'pause', '1.3.0');
});

test('gantry release path shows the way there and back', async (t) => {
  const desk = await underWay(t);
  await writeFile(join(desk.workspace, 'migrate_v1.3.0_add-setting'), 'a program');
  await desk.run('release', 'add', '1.3.0', ...ADD.slice(3), '--migrations', 'migrate_v1.3.0_add-setting');
  assert.match(
    (await desk.run('release', 'path', '1.1.0', '1.3.0')).stdout,
    /forward\n {2}1\.1\.0 -> 1\.2\.0 {2}no migration\n {2}1\.2\.0 -> 1\.3\.0 {2}migrate_v1\.3\.0_add-setting\.lz4/u,
  );
  assert.match(
    (await desk.run('release', 'path', '1.3.0', '1.1.0')).stdout,
    /backward\n {2}1\.3\.0 -> 1\.2\.0 {2}migrate_v1\.3\.0_add-setting\.lz4\n {2}1\.2\.0 -> 1\.1\.0/u,
  );
  await desk.refused(3, /no step leads out of 1\.3\.0 towards 2\.0\.0/u, 'release', 'path', '1.1.0', '2.0.0');
});

test('gantry acts on several repositories at once, or on none of them', async (t) => {
  const { workspace } = await cliWorkspace(t);
  const desk = await deskOf(workspace);
  const config = join(workspace, 'gantry.toml');
  await writeFile(config, `${await readFile(config, 'utf8')}\n[[repository]]\nvariant = "edge"\narch = "aarch64"\n`);
  const images = ['--boot', '{arch}/boot.img', '--root', '{arch}/root.img', '--hash', '{arch}/hash.img'];
  for (const arch of ['x86_64', 'aarch64']) {
    await mkdir(join(workspace, arch));
    await writeImages(join(workspace, arch));
  }
  await desk.refused(3, /expected exactly one of metal\/x86_64, edge\/aarch64/u, 'release', 'add', '1.0.0', ...images);
  await desk.refused(2, /expected \{variant\} or \{arch\} in the path/u, ...ADD, '--variant', 'all');
  await desk.refused(
    3,
    /aarch64\/boot\.img|does not exist/u,
    'release',
    'add',
    '1.0.0',
    '--variant',
    'all',
    '--boot',
    '{arch}/gone.img',
    ...images.slice(2),
  );
  await desk.run('release', 'add', '1.0.0', '--variant', 'metal,edge', ...images);
  assert.equal((await drafts(workspace)).length, 2);
  await publish(desk);
  await desk.refused(3, /"nope\/\*" matches 0 of them/u, 'wave', 'set', '1.0.0', '--policy', 'ohno', '--variant', 'metal,nope');
  await desk.run('release', 'add', '1.1.0', '--variant', 'edge', '--wave-policy', 'ohno', ...images);
  await publish(desk);
  // The other repository has no such release, and is left as it is.
  const { stderr } = await desk.run('wave', 'pause', '1.1.0', '--variant', 'all', '--quiet', '--dry-run');
  assert.match(stderr, /^metal\/x86_64 1\.1\.0: there is no such release; nothing changes there\.\nedge\/aarch64 1\.1\.0: from /u);
  const { repositories, without } = await desk.json('wave', 'abort', '1.1.0', '--variant', 'all');
  assert.deepEqual(without, [{ variant: 'metal', arch: 'x86_64' }]);
  assert.equal((repositories as unknown as readonly unknown[]).length, 1);
  await rm(join(workspace, 'drafts'), { recursive: true });
  await desk.refused(3, /release 9\.9\.9 of metal\/x86_64: it is not one of 1\.0\.0/u, 'wave', 'pause', '9.9.9', '--variant', 'all');
  await desk.run('wave', 'pause', '1.1.0', '--variant', 'edge', '--arch', 'all');
});
