/** What `gantry release` and `gantry wave` say of an edit before anything is signed, and what they refuse. */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { ADD, gantry } from '../support/cli.ts';
import { drafts, publish, rolloutUnderWay } from '../support/desk.ts';

const underWay = rolloutUnderWay();
const IMAGES = ADD.slice(3);

test('gantry release recall names every release whose hosts go back, and wave refuses to steer a recalled one', async (t) => {
  const desk = await underWay(t);
  await desk.run('release', 'add', '1.3.0', ...IMAGES);
  await publish(desk);
  const { stderr } = await desk.run('release', 'recall', '1.3.0', '--to', '1.1.0');
  assert.match(
    stderr,
    /^metal\/x86_64 1\.3\.0: once this is published, nobody is offered it \(100 % of the fleet is now\), nor 1\.2\.0, and hosts that run it, or 1\.2\.0, go back to 1\.1\.0 at their next check\.$/mu,
  );
  const steering = [['pause'], ['resume'], ['accelerate'], ['set', '--immediately']] as const;
  for (const [verb, ...options] of steering)
    await desk.refused(3, /1\.3\.0 of metal\/x86_64: it was recalled, and nobody is offered it/u, 'wave', verb, '1.3.0', ...options);
});

const warned = (result: Record<string, never>, member: string): readonly string[] =>
  (result[member] as unknown as readonly { warnings: readonly { rule: string }[] }[]).flatMap(({ warnings }) =>
    warnings.map(({ rule }) => rule),
  );

test('gantry release add says what hosts will see and when, and what the release lint warns of anew', async (t) => {
  const desk = await underWay(t);
  const add = ['release', 'add', '1.3.0', ...IMAGES] as const;
  const now = /^metal\/x86_64 1\.3\.0: every host is offered it once this is published\.$/mu;
  assert.match((await desk.run(...add, '--dry-run', '--quiet')).stderr, now);
  const dry = await desk.json(...add, '--dry-run', '--wave-policy', 'ohno', '--start', '2099-01-01T00:00:00Z');
  const [{ sentence } = { sentence: '' }] = dry['repositories'] as unknown as readonly { sentence: string }[];
  assert.match(sentence, /: \d+ waves: the first hosts are offered it at 2099-01-01T\S+Z \(in .*\), the last ones at 2099-01-01T/u);
  const { stdout, stderr } = await desk.run(...add);
  assert.match(stderr, now);
  assert.match(stdout, /^! stock-excluded: manifest\.updates\[2\]\.images: stock hosts cannot install 1\.3\.0 /mu);
  // Not what is said of older releases as well.
  assert.doesNotMatch(stdout, /1\.2\.0/u);
  await writeFile(join(desk.workspace, 'hash.img'), new Uint8Array(4096));
  const unchecked = ['--compression', 'lz4', '--no-verity-check'];
  assert.deepEqual(warned(await desk.json('release', 'add', '1.4.0', ...IMAGES, ...unchecked), 'releases'), ['image-sizes']);
});

test('gantry says before anything is signed what an edit makes worse', async (t) => {
  const desk = await underWay(t);
  const recall = ['release', 'recall', '1.2.0', '--to', '1.1.0'] as const;
  assert.match((await desk.run(...recall, '--dry-run')).stdout, /^! withdrawn: .*1\.2\.0 of metal\/x86_64 is newer than its max_version/mu);
  assert.deepEqual(warned(await desk.json(...recall), 'repositories'), ['withdrawn']);
  assert.deepEqual(warned(await desk.json('wave', 'set', '1.1.0', '--immediately'), 'repositories'), []);
});

test('gantry release add finds what is wrong with migrations before it compresses anything', async (t) => {
  const desk = await underWay(t);
  const refused = async (message: RegExp, ...migrations: readonly string[]): Promise<void> => {
    // A rehearsal compresses nothing at all.
    const options = migrations.flatMap((path) => ['--migrations', path]);
    for (const more of [['--dry-run'], []]) await desk.refused(3, message, 'release', 'add', '1.3.0', ...IMAGES, ...options, ...more);
  };
  const file = async (name: string, text: string): Promise<void> => writeFile(join(desk.workspace, name), text);
  const list = async (...steps: readonly string[]): Promise<void> => file('Release.toml', `[migrations]\n${steps.join('\n')}\n`);
  const connected = '"(1.1.0, 1.2.0)" = []';
  await list(connected, '"(1.2.0, 1.3.0)" = ["migrate_v1.3.0_gone.lz4"]');
  await refused(/migration-missing: .*"migrate_v1\.3\.0_gone\.lz4" is not a target/u, 'Release.toml');
  await list(connected);
  await refused(/unreachable-version|migration-gap/u, 'Release.toml');
  await file('migrate_v1.3.0_add', 'a program');
  await list(connected, '"(1.2.0, 1.3.0)" = []');
  await refused(/"migrate_v1\.3\.0_add\.lz4": no step of Release\.toml names it/u, 'Release.toml', 'migrate_v1.3.0_add');
  await file('migrate_v1.3.0_add.lz4', 'a program');
  await refused(/"migrate_v1\.3\.0_add\.lz4": two files of the release have it/u, 'migrate_v1.3.0_add', 'migrate_v1.3.0_add.lz4');
  await refused(/migrate_v1\.3\.0_add\.lz4" as a migration: its name says lz4, and it is none/u, 'migrate_v1.3.0_add.lz4');
  await file('migrate_v1.3.0_empty', '');
  await refused(/as a migration: it is empty/u, 'migrate_v1.3.0_empty');
  await mkdir(join(desk.workspace, 'none'));
  await refused(/none" as migrations: the directory is empty/u, 'none');
  await desk.refused(3, /"a\/b" as the build name/u, 'release', 'add', '1.3.0', ...IMAGES, '--build', 'a/b', '--dry-run');
});

test('gantry release add refuses files whose names are taken, and two sources of notes', async (t) => {
  const desk = await underWay(t);
  const taken = async (owner: RegExp, ...options: readonly string[]): Promise<void> =>
    desk.refused(3, owner, 'release', 'add', '1.3.0', ...IMAGES, ...options, '--dry-run');
  await taken(/"manifest\.json": the manifest has it/u, '--target', 'manifest.json=boot.img');
  await taken(/an image of the release has it/u, '--target', 'my-os-metal-x86_64-1.3.0-0a1b2c3d-root.ext4.zst=boot.img');
  await taken(/an image of the release has it/u, '--build', 'b1', '--link-target', 'my-os-metal-x86_64-1.3.0-b1-boot.ext4.lz4=boot.img');
  const published = (await readdir(join(desk.workspace, '..', 'public', 'targets'))).find((name) => name.includes('-1.1.0-')) ?? '';
  await taken(/an image of 1\.1\.0 has it/u, '--target', `${published.replace(/^[0-9a-f]+\./u, '')}=boot.img`);
  await taken(/"boot\.img": two files of the release have it/u, '--target', 'boot.img', '--link-target', 'boot.img=root.img');
  await writeFile(join(desk.workspace, 'migrate_v1.3.0_add'), 'a program');
  await taken(/a migration of the release has it/u, '--migrations', 'migrate_v1.3.0_add', '--target', 'migrate_v1.3.0_add.lz4=boot.img');
  await desk.refused(3, /"\.\.\/x"/u, 'release', 'add', '1.3.0', ...IMAGES, '--target', '../x=boot.img', '--dry-run');
  await desk.run(
    'release',
    'add',
    '1.3.0',
    ...IMAGES,
    '--build',
    'b1',
    '--target',
    'my-os-metal-x86_64-1.3.0-b2-x.img=boot.img',
    '--dry-run',
  );
  await writeFile(join(desk.workspace, 'notes.txt'), Buffer.from([0x66, 0xff]));
  const add = ['release', 'add', '1.3.0', ...IMAGES, '--notes-file', 'notes.txt'] as const;
  await desk.refused(2, /--notes-file together with --notes: expected one of them/u, ...add, '--notes', 'x');
  await desk.refused(2, /--notes-file "notes\.txt": it is not UTF-8/u, ...add);
});

test('gantry release remove takes a release that is only drafted out of the draft, and nothing else', async (t) => {
  const desk = await underWay(t);
  await desk.run('wave', 'set', '1.2.0', '--policy', 'ohno');
  const earlier = await drafts(desk.workspace);
  await writeFile(join(desk.workspace, 'migrate_v1.3.0_add'), 'a program');
  const more = ['--migrations', 'migrate_v1.3.0_add', '--target', 'extra.img=boot.img'] as const;
  await desk.run('release', 'add', '1.3.0', ...IMAGES, ...more);
  await desk.run('wave', 'set', '1.3.0', '--policy', 'ohno');
  const { stderr } = await desk.run('release', 'remove', '1.3.0');
  assert.match(stderr, /^metal\/x86_64 1\.3\.0: it was drafted only, and no host will see it, and 8 targets of it go with it\.$/mu);
  const changesIn = (texts: readonly string[]): unknown =>
    (JSON.parse((texts[0] ?? '').replace(/^\S+ /u, '')) as { changes: unknown }).changes;
  assert.deepEqual(changesIn(await drafts(desk.workspace)), changesIn(earlier));
  await publish(desk);
  // A draft that held nothing else is gone.
  await desk.run('release', 'add', '1.3.0', ...IMAGES);
  assert.match((await desk.run('wave', 'abort', '1.3.0', '--dry-run')).stdout, /^Nothing was drafted\.$/mu);
  assert.match((await desk.run('wave', 'abort', '1.3.0')).stdout, /^Nothing else was drafted, so nothing waits any more\.$/mu);
  assert.deepEqual(await drafts(desk.workspace), []);
  assert.deepEqual(await readdir(join(desk.workspace, '.gantry', 'objects')), []);
});

test('gantry draft cancel throws a draft away, one that cannot be read too, and asks before', async (t) => {
  const desk = await underWay(t);
  await desk.refused(3, /Cannot find the draft: nothing waits/u, 'draft', 'cancel', '--yes');
  await desk.run('release', 'add', '1.3.0', ...IMAGES);
  await desk.run('sign');
  await desk.refused(2, /"Cancel 1 draft\?": there is no terminal; expected --yes/u, 'draft', 'cancel');
  const drafted = await drafts(desk.workspace);
  const dry = await desk.run('draft', 'cancel', '--dry-run', '--quiet');
  assert.match(dry.stderr, /^metal\/x86_64: the draft goes with all it holds: 7 changes, 3 signatures\. What is published stays\.$/mu);
  assert.deepEqual(await drafts(desk.workspace), drafted);
  assert.deepEqual((await desk.json('draft', 'cancel', '--yes'))['cancelled'], [{ draft: 'metal/x86_64', changes: 7, signatures: 3 }]);
  assert.deepEqual(await drafts(desk.workspace), []);
  const path = join(desk.workspace, 'drafts', 'metal', 'x86_64.json');
  await writeFile(path, 'torn');
  assert.match((await gantry(['sign'], { cwd: desk.workspace })).stderr, /hint: gantry draft cancel removes it/u);
  await desk.run('draft', 'cancel', '--yes');
  await assert.rejects(readFile(path), { code: 'ENOENT' });
});

test('gantry wave set and release add refuse a policy whose own times have passed', async (t) => {
  const desk = await underWay(t);
  const policy =
    '[[waves]]\nstart_after = "2020-01-01T00:00:00Z"\nfleet_percentage = 50\n\n[[waves]]\nstart_after = "2099-01-01T00:00:00Z"\n';
  await writeFile(join(desk.workspace, 'old.toml'), `${policy}fleet_percentage = 100\n`);
  const message = /old\.toml": line 1, column 1: this wave starts at 2020-01-01T00:00:00Z, before the schedule itself, which starts at /u;
  for (const more of [[], ['--exact'], ['--dry-run']])
    await desk.refused(3, message, 'wave', 'set', '1.2.0', '--policy', 'old.toml', ...more);
  await desk.refused(3, message, 'release', 'add', '1.3.0', ...IMAGES, '--wave-policy', 'old.toml');
});
