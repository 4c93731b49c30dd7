/** `gantry wave simulate`, as a release engineer types it. */
import assert from 'node:assert/strict';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { temporaryDirectory } from '../support/engineer.ts';
import { ADD, cliWorkspace, gantry, type CliResult } from '../support/cli.ts';

const POLICIES = join(import.meta.dirname, '../../repo-layout/policies/waves');
const DEFAULT = ['--policy', join(POLICIES, 'default-waves.toml'), '--start', '2025-03-03T17:00:00Z'];

interface Moment {
  readonly afterSeconds: number;
  readonly at: string;
}

interface Played {
  readonly offered: { readonly hosts: number; readonly reached: readonly (Partial<Moment> & { readonly percent: number })[] };
  readonly downloaded: { readonly hosts: number };
  readonly updated: { readonly hosts: number };
  readonly failed: number;
  readonly aborted?: Moment;
  readonly largestJump: Moment & { readonly share: number };
  readonly peakDownload: Moment & { readonly bytesPerSecond: number };
  readonly curve: { readonly stepSeconds: number; readonly updated: readonly number[] };
}

interface Simulated {
  readonly start: string;
  readonly hosts: number;
  readonly downloadBytes?: number;
  readonly version?: string;
  readonly draft?: boolean;
  readonly files: readonly string[];
  readonly intended: Played;
  readonly stock: Played;
}

let directory = '';
let workspace = '';
/** Outside every workspace. */
let elsewhere = '';
let emptyWorkspace = '';
const cleanups: (() => Promise<void>)[] = [];

before(async () => {
  const t = { after: (work: () => Promise<void>): unknown => cleanups.push(work) };
  ({ directory, workspace } = await cliWorkspace(t));
  elsewhere = join(await temporaryDirectory(t), 'elsewhere');
  await mkdir(elsewhere);
  emptyWorkspace = join(await temporaryDirectory(t), 'my-os');
  await cp(workspace, emptyWorkspace, { recursive: true });
  const images = ADD.slice(3);
  await run(workspace, 'release', 'add', '1.1.0', ...images);
  await run(workspace, 'sign');
  await run(workspace, 'publish');
  await run(workspace, 'release', 'add', '1.2.0', ...images, '--wave-policy', 'default-waves');
});

after(async () => {
  for (const cleanup of cleanups) await cleanup();
});

async function run(cwd: string, ...args: readonly string[]): Promise<CliResult> {
  const result = await gantry(args, { cwd });
  assert.equal(result.code, 0, `gantry ${args.join(' ')}: ${result.stderr}`);
  return result;
}

async function simulated(cwd: string, ...args: readonly string[]): Promise<Simulated> {
  return JSON.parse((await run(cwd, 'wave', 'simulate', ...args, '--json')).stdout) as Simulated;
}

async function refused(message: RegExp, ...args: readonly string[]): Promise<void> {
  const { code, stderr } = await gantry(['wave', 'simulate', ...args], { cwd: elsewhere });
  assert.equal(code, 2, `${args.join(' ')}: ${stderr}`);
  const [error = '', hint = ''] = stderr.trimEnd().split('\n');
  assert.match(error, message);
  assert.match(hint, /^hint: /u);
}

const updatedAt = ({ curve }: Played, hours: number, hosts: number): number =>
  ((curve.updated[(hours * 3600) / curve.stepSeconds] ?? hosts) / hosts) * 100;

test('gantry wave simulate --exact shows what stock hosts make of the waves that pubsys writes', async () => {
  const { intended, stock, start } = await simulated(elsewhere, ...DEFAULT, '--exact', '--hosts', '100k', '--download-size', '236MB');
  assert.equal(start, '2025-03-03T17:00:00Z');
  assert.equal(stock.largestJump.at, '2025-03-09T17:00:00Z');
  assert.ok(Math.abs(stock.largestJump.share - 0.4) < 0.01);
  assert.ok(Math.abs(intended.largestJump.share - 0.1) < 0.01);
  const reference = { 36: [9.6, 5.1], 72: [27, 15], 110: [51, 40], 132: [74, 60] };
  for (const [hours, [meant = 0, coded = 0]] of Object.entries(reference)) {
    assert.ok(Math.abs(updatedAt(intended, Number(hours), 1e5) - meant) < 0.7, hours);
    assert.ok(Math.abs(updatedAt(stock, Number(hours), 1e5) - coded) < 0.7, hours);
  }
  // 3.4 % and 1.0 % of the fleet in ten minutes.
  assert.ok(Math.abs(stock.peakDownload.bytesPerSecond / ((0.034 * 1e5 * 236e6) / 600) - 1) < 0.1);
  assert.ok(Math.abs(intended.peakDownload.bytesPerSecond / ((0.01 * 1e5 * 236e6) / 600) - 1) < 0.15);
});

test('gantry wave simulate shows that smoothed waves, the default, repair that', async () => {
  const { stock } = await simulated(elsewhere, ...DEFAULT);
  assert.ok(stock.largestJump.share < 0.13);
  assert.deepEqual(await simulated(elsewhere, ...DEFAULT, '--smooth', '--rng-seed', '1'), await simulated(elsewhere, ...DEFAULT));
  const other = await simulated(elsewhere, ...DEFAULT, '--rng-seed', '2');
  assert.notDeepEqual(other.stock.curve, stock.curve);
});

test('gantry wave simulate draws a chart and a table for people', async () => {
  const { stdout, stderr } = await run(elsewhere, 'wave', 'simulate', ...DEFAULT, '--exact');
  assert.equal(stderr, '');
  const lines = stdout.trimEnd().split('\n');
  assert.equal(lines[0], 'default-waves (exact): share of 10,000 hosts that run it');
  assert.equal(lines[1], '── as intended   ━━ stock hosts');
  assert.match(lines[2] ?? '', /^100 %┤ +┏━$/u);
  assert.equal(lines[13]?.trim(), 'days since the release starts');
  assert.match(stdout, /^100 % offered +6 d +6 d$/mu);
  assert.match(stdout, /^ largest jump +\d+\.\d % at 6 d +(?:39|40)\.\d % at 6 d$/mu);
  const ascii = await gantry(['wave', 'simulate', ...DEFAULT], { cwd: elsewhere, env: { LC_ALL: 'C' } });
  assert.match(ascii.stdout, /^[ -~\n]+$/u);
});

test('gantry wave simulate takes the newest release, as the draft will publish it, and the size of its images', async () => {
  const newest = await simulated(workspace);
  assert.equal(newest.version, '1.2.0');
  assert.equal(newest.draft, true);
  assert.ok((newest.downloadBytes ?? 0) > 0);
  assert.ok(newest.stock.largestJump.share < 0.13, 'a release has narrow waves');
  assert.ok(Math.abs(newest.intended.largestJump.share - 0.1) < 0.02);

  const older = await simulated(workspace, '1.1.0', '--download-size', '1.5GB');
  assert.equal(older.draft, false);
  assert.equal(older.downloadBytes, 1.5e9);
  assert.equal(older.stock.largestJump.share, 1, 'it has no waves');

  const both = await simulated(workspace, '1.2.0', '--policy', 'accelerated-waves', '--exact');
  assert.equal(both.downloadBytes, newest.downloadBytes);
  assert.ok(Math.abs(both.stock.largestJump.share - 0.6) < 0.02);
});

test('gantry wave simulate stops at the pause of a release that is paused', async () => {
  await run(workspace, 'sign');
  await run(workspace, 'publish');
  await run(workspace, 'wave', 'pause', '1.2.0', '--lead', '2 days');
  const { intended, stock } = await simulated(workspace, '1.2.0');
  for (const { updated, offered } of [intended, stock]) {
    assert.ok(updated.hosts > 1000 && updated.hosts < 2000, String(updated.hosts));
    assert.equal(offered.reached.find(({ percent }) => percent === 25)?.afterSeconds, undefined);
  }
});

test('gantry wave simulate plays failures, the abort and reboot windows', async () => {
  const fleet = ['--failures', '5%', '--abort-after', '100', '--reaction', '4 hours', '--reboot-window', '22:00-04:00'];
  const { intended, stock } = await simulated(elsewhere, ...DEFAULT, '--exact', ...fleet, '--reboot-window', 'sat,sun 12:00-13:00');
  for (const { aborted, failed, downloaded, updated, offered } of [intended, stock]) {
    assert.ok(aborted !== undefined && failed >= 100);
    assert.equal(new Date(aborted.at).getTime(), Date.parse('2025-03-03T17:00:00Z') + aborted.afterSeconds * 1000);
    assert.equal(updated.hosts, downloaded.hosts);
    assert.ok(offered.hosts < 10_000 && downloaded.hosts <= offered.hosts);
  }
  const { stdout } = await run(elsewhere, 'wave', 'simulate', ...DEFAULT, ...fleet);
  assert.match(stdout, /^ +spared +\d+\.\d % +\d+\.\d %$/mu);
});

test('gantry wave simulate writes CSV, SVG and PNG, and leaves nothing else behind', async () => {
  const folder = join(directory, 'pictures');
  await mkdir(folder);
  const { files } = await simulated(folder, ...DEFAULT, '--hosts', '2k', '--csv', 'fleet.csv', '--plot', 'fleet.svg');
  assert.deepEqual(files, ['fleet.csv', 'fleet.svg']);
  const [head, ...rows] = (await readFile(join(folder, 'fleet.csv'), 'utf8')).trimEnd().split('\n');
  assert.match(head ?? '', /^time,seconds,intended_offered,/u);
  assert.match(rows[0] ?? '', /^2025-03-03T17:00:00Z,0,/u);
  assert.match(rows.at(-1) ?? '', /,2000,2000,2000,,2000,2000,2000,$/u);
  assert.match(await readFile(join(folder, 'fleet.svg'), 'utf8'), /^<svg [\s\S]*share of the fleet \(%\)/u);
  const { code, stderr } = await gantry(['wave', 'simulate', ...DEFAULT, '--plot', 'fleet.PNG'], { cwd: folder });
  // Refused on a machine without fonts.
  if (code === 0) assert.equal((await readFile(join(folder, 'fleet.PNG'))).subarray(1, 4).toString(), 'PNG');
  else assert.match(stderr, /^error: Cannot use --plot "fleet\.PNG": this machine has no fonts/u);
  assert.deepEqual(
    (await readdir(folder)).filter((name) => name !== 'fleet.PNG'),
    ['fleet.csv', 'fleet.svg'],
  );
});

test('gantry wave simulate replaces a file only with --force', async () => {
  const folder = join(directory, 'written');
  await mkdir(folder);
  for (const [option, name] of [
    ['--csv', 'gantry.toml'],
    ['--plot', 'logo.svg'],
  ] as const) {
    await writeFile(join(folder, name), 'precious');
    const { code, stderr } = await gantry(['wave', 'simulate', ...DEFAULT, '--hosts', '100M', option, name], { cwd: folder });
    assert.equal(code, 6, stderr);
    assert.match(stderr, /^error: Cannot write --\w+ "[a-z.]+": it is there already; expected a new name, or --force\nhint: /u);
    assert.equal(await readFile(join(folder, name), 'utf8'), 'precious');
  }
  await run(folder, 'wave', 'simulate', ...DEFAULT, '--hosts', '100', '--csv', 'gantry.toml', '--force');
  assert.match(await readFile(join(folder, 'gantry.toml'), 'utf8'), /^time,seconds,/u);
  assert.deepEqual((await readdir(folder)).toSorted(), ['gantry.toml', 'logo.svg']);
});

test('gantry wave simulate refuses a folder that is not there before it plays anything', async () => {
  for (const option of [
    ['--csv', 'nowhere/fleet.csv'],
    ['--plot', 'nowhere/fleet.svg'],
  ]) {
    const { code, stderr } = await gantry(['wave', 'simulate', ...DEFAULT, '--hosts', '100M', ...option], { cwd: elsewhere });
    assert.equal(code, 3, stderr);
    assert.match(stderr, /^error: Cannot write ".*": its directory does not exist\nhint: /u);
  }
  assert.deepEqual(await readdir(elsewhere), []);
});

test('gantry wave simulate says what is wrong with an option', async () => {
  const wrong: readonly (readonly [RegExp, ...(readonly string[])])[] = [
    [/^error: Cannot use --hosts "0": expected a number from 1 to 100M, such as 5000, 10k or 2M$/u, '--hosts', '0'],
    [/--hosts "101M"/u, '--hosts', '101M'],
    [/--hosts "1\.5"/u, '--hosts', '1.5'],
    [/--hosts "10 k"/u, '--hosts', '10 k'],
    [/--poll "often": expected a length of time from a minute to a year/u, '--poll', 'often'],
    [/--poll "0 hours"/u, '--poll', '0 hours'],
    [/--poll "400 days"/u, '--poll', '400 days'],
    [/--reboot-window "at night": expected UTC times such as "22:00-04:00"/u, '--reboot-window', 'at night'],
    [/--download-size "big": expected bytes, such as 240MB, 1\.5GB or 250MiB/u, '--download-size', 'big'],
    [/--failures "101": expected a percentage from 0 to 100/u, '--failures', '101'],
    [/--failures "-1"/u, '--failures=-1'],
    [/--abort-after without --failures/u, '--abort-after', '3'],
    [/--abort-after "0": expected a whole number from 1/u, '--failures', '1', '--abort-after', '0'],
    [/--reaction "soon": expected a length of time up to a year/u, '--reaction', 'soon'],
    [/--rng-seed "-1": expected a whole number/u, '--rng-seed=-1'],
    [/--plot "fleet\.pdf": expected a file that ends with \.svg or \.png/u, '--plot', 'fleet.pdf'],
    [/--plot "x\.svg": expected another file than for --csv/u, '--plot', 'x.svg', '--csv', 'x.svg'],
    [/--exact together with --smooth/u, '--exact', '--smooth'],
    [/--start "soon": expected RFC 3339/u, '--start', 'soon'],
  ];
  for (const [message, ...args] of wrong) await refused(message, ...DEFAULT, ...args);
  for (const option of ['--exact', '--smooth', '--start=2030-01-01T00:00:00Z']) {
    await refused(new RegExp(`${option.split('=')[0] ?? ''} without --policy: expected a policy`, 'u'), option);
  }
});

test('gantry wave simulate finds no policy and no release where there is none', async () => {
  const empty = await gantry(['wave', 'simulate'], { cwd: emptyWorkspace });
  assert.equal(empty.code, 3);
  assert.match(empty.stderr, /^error: Cannot simulate a release of metal\/x86_64: nothing is released yet; expected --policy$/mu);
  const missing = await gantry(['wave', 'simulate', '--policy', './none.toml'], { cwd: elsewhere });
  assert.equal(missing.code, 3);
  assert.match(missing.stderr, /none\.toml/u);
  const unknown = await gantry(['wave', 'simulate', '9.9.9'], { cwd: workspace });
  assert.equal(unknown.code, 3);
  assert.match(unknown.stderr, /Cannot find release 9\.9\.9/u);
  const name = await gantry(['wave', 'simulate', '--policy', 'nothing'], { cwd: workspace });
  assert.match(name.stderr, /Cannot find the wave policy "nothing".*expected one of accelerated-waves, default-waves/u);
});
