/**
 * The life of a rollout, as every client reads it: a release, a second one with waves that are steered, its recall and removal.
 * Each client is one host that follows the repository from publication to publication, and downloads every target of each.
 */
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { prepareEdit, removalOf, saveEdit } from '../../lib/publish/edit.ts';
import { readCurrent } from '../../lib/publish/live.ts';
import { publishRepository } from '../../lib/publish/publish.ts';
import { addRelease } from '../../lib/publish/release.ts';
import type { Change } from '../../lib/repository/draft.ts';
import { readySeeds, readyTimes, scheduleOf, SEEDS } from '../../lib/release/eligibility.ts';
import { findUpdate } from '../../lib/release/find.ts';
import type { Offer } from '../../lib/release/lint.ts';
import { parseManifest, type Manifest, type Update } from '../../lib/release/manifest.ts';
import { isOffered } from '../../lib/release/rollout.ts';
import { policyWaves } from '../../lib/release/wave-policy.ts';
import { instantOf, SECOND, waveTime, type Instant } from '../../lib/release/wave-time.ts';
import { smoothWaves, type Waves } from '../../lib/release/waves.ts';
import { startStaticServer } from '../../lib/server/static-server.ts';
import { readWavePolicy } from '../../lib/workspace/policies.ts';
import { engineerWithRoot, METAL, sign, writeImages, type Engineer } from '../support/engineer.ts';
import { PEER_NAMES, readWithPeer, skipReason, type PeerName } from '../support/peers.ts';

const skips = new Map<PeerName, string | false>();
for (const peer of PEER_NAMES) skips.set(peer, await skipReason(peer));

const HOUR = 3600n * SECOND;
/** As the commands give it: how long signing and publishing may take. */
const LEAD = HOUR / 4n;
const MIGRATION = 'migrate_v1.2.0_add-setting.lz4';
const EXTRA = 'my-os-1.2.0.img';

const named = (version: string): typeof METAL & { readonly version: string } => ({ ...METAL, version });

/** What a host has after it has read a publication. */
interface Seen {
  readonly manifest: Manifest;
  /** The targets that it downloaded, sorted. */
  readonly names: readonly string[];
}

/** The repository, and the hosts that follow it. */
interface Life {
  readonly engineer: Engineer;
  /** `hours` after the beginning. */
  at(hours: number): Instant;
  /** Sets the engineer's clock. */
  moveTo(hours: number): void;
  edit(changesFor: (standing: Offer) => readonly Change[]): Promise<void>;
  /**
   * Publishes what is drafted, and lets every client read it.
   *
   * @param promise what the command said that hosts will see
   */
  publish(command: string, promise: (seen: Seen) => void): Promise<void>;
  /** As it is published. */
  release(version: string): Promise<Update>;
}

async function begin(t: TestContext): Promise<Life> {
  // Clients look at the real clock: nothing may have expired, and every later moment is still to come.
  const beginning = new Date(Math.floor(Date.now() / 1000) * 1000);
  const engineer = await engineerWithRoot(t, beginning);
  const { workspace, store } = engineer;
  await mkdir(engineer.storeDirectory, { recursive: true });
  const server = await startStaticServer({ directory: engineer.storeDirectory });
  t.after(async () => server.close());
  const at = (hours: number): Instant => instantOf(beginning) + BigInt(Math.round(hours * 3600)) * SECOND;
  return {
    engineer,
    at,
    moveTo(hours) {
      engineer.now = new Date(beginning.getTime() + hours * 3_600_000);
    },
    async edit(changesFor) {
      await saveEdit(workspace, await prepareEdit(workspace, store, METAL, { now: engineer.now, changesFor }));
    },
    async publish(command, promise) {
      await sign(engineer);
      await publishRepository(workspace, store, METAL, { now: engineer.now, clock: () => engineer.now });
      const read = async (peer: PeerName): Promise<void> => promise(await readAll(engineer, server.url, peer));
      await Promise.all(
        PEER_NAMES.map(async (peer) =>
          t.test(`${peer} reads the whole repository after ${command}`, { skip: skips.get(peer) ?? false }, () => read(peer)),
        ),
      );
    },
    async release(version) {
      const { live } = await readCurrent(workspace, store, METAL);
      return findUpdate(live.trusted.manifest, named(version));
    },
  };
}

/** One visit of a host, which keeps what it came to trust; checks versions, names and every byte. */
async function readAll({ directory, workspace, store, storeDirectory }: Engineer, url: URL, peer: PeerName): Promise<Seen> {
  const { live } = await readCurrent(workspace, store, METAL);
  const { published, chain } = live.trusted;
  assert.ok(published !== undefined);
  const { targets, snapshot, timestamp } = published;
  const state = join(directory, `state of ${peer}`);
  const out = join(directory, `targets of ${peer}`, String(timestamp.role.version));
  await mkdir(state, { recursive: true });
  await mkdir(out, { recursive: true });
  const { client, downloaded, ...versions } = await readWithPeer(peer, {
    rootFile: join(workspace.directory, '1.root.json'),
    metadataUrl: new URL('metal/x86_64/', url),
    targetsUrl: new URL('targets/', url),
    out,
    state,
  });
  assert.ok(client.startsWith(peer), client);
  assert.deepEqual(versions, {
    root: chain.latest.role.version,
    timestamp: timestamp.role.version,
    snapshot: snapshot.role.version,
    targets: targets.role.version,
  });
  assert.deepEqual(downloaded, Object.keys(targets.role.targets).toSorted());
  for (const [name, { hashes }] of Object.entries(targets.role.targets)) {
    const file = join(storeDirectory, 'targets', `${hashes.sha256}.${name}`);
    assert.ok((await readFile(join(out, name))).equals(await readFile(file)), name);
  }
  return { manifest: parseManifest(await readFile(join(out, 'manifest.json'))), names: downloaded };
}

/** The share of stock hosts that may have it then. */
function share({ waves }: Update, at: Instant): number {
  return readySeeds(scheduleOf(waves), at) / SEEDS;
}

/** The share of our own agents that may have it then. */
function agents(update: Update, at: Instant): number {
  return Array.from({ length: SEEDS }, (_, seed) => seed).filter((seed) => isOffered(update, seed, at)).length / SEEDS;
}

function assertNear(actual: number, expected: number, slack: number): void {
  assert.ok(Math.abs(actual - expected) <= slack, `${actual} is not near ${expected}`);
}

/** When the last stock host comes. */
function endOf(waves: Waves): Instant {
  return readyTimes(scheduleOf(waves)).at(-1) ?? 0n;
}

async function draftRelease(life: Life, version: string, more: Partial<Parameters<typeof addRelease>[2]> = {}): Promise<void> {
  const { engineer } = life;
  const images = await writeImages(engineer.directory);
  await addRelease(engineer.workspace, engineer.store, {
    repository: METAL,
    version,
    images,
    compression: 'both',
    level: 1,
    now: engineer.now,
    ...more,
  });
}

/** `release add 1.1.0 --compression both`, then `release add 1.2.0` with everything that it takes. */
async function release(life: Life): Promise<void> {
  await draftRelease(life, '1.1.0');
  await life.publish('release add 1.1.0', ({ manifest, names }) => {
    const [update, ...others] = manifest.updates;
    assert.ok(update !== undefined && others.length === 0);
    assert.deepEqual([update.version, update.max_version, update.waves, update.gantry], ['1.1.0', '1.1.0', {}, undefined]);
    assertImages(update, names);
    // Three images in two forms, three frame tables, the manifest.
    assert.equal(names.length, 10);
  });
  const { engineer } = life;
  const [migration, extra] = [join(engineer.directory, 'migrate_v1.2.0_add-setting'), join(engineer.directory, 'disk.img')];
  await writeFile(migration, 'a program');
  await writeFile(extra, 'a disk');
  const intended = policyWaves(await readWavePolicy(engineer.workspace, 'default-waves'), life.at(0));
  await draftRelease(life, '1.2.0', {
    about: { waves: smoothWaves(intended), intended, severity: 'important', notes: 'Faster.\nSmaller.' },
    migrations: { files: [migration] },
    extraTargets: [{ name: EXTRA, file: extra, mode: 'copy' }],
  });
  await life.publish('release add 1.2.0', ({ manifest, names }) => {
    const update = findUpdate(manifest, named('1.2.0'));
    assert.deepEqual(update.gantry, { severity: 'important', notes: 'Faster.\nSmaller.', waves: intended });
    assert.deepEqual(
      manifest.updates.map(({ max_version }) => max_version),
      ['1.2.0', '1.2.0'],
    );
    assert.deepEqual(manifest.migrations, { '(1.1.0, 1.2.0)': [MIGRATION] });
    for (const [hours, meant] of [
      [0, 0],
      [24, 0.05],
      [48, 0.15],
      [96, 0.4],
      [120, 0.6],
      [144, 1],
    ] as const) {
      assertNear(share(update, life.at(hours)), meant, 0.01);
    }
    assertImages(update, names);
    assert.ok(names.includes(MIGRATION) && names.includes(EXTRA) && names.length === 21);
  });
}

function assertImages({ images, images_zstd: zstd }: Update, names: readonly string[]): void {
  for (const name of Object.values(images)) assert.ok(name.endsWith('.lz4') && names.includes(name), name);
  for (const name of Object.values(zstd ?? {})) assert.ok(name.endsWith('.zst') && names.includes(name), name);
  assert.equal(Object.keys(zstd ?? {}).length, 3);
}

/** `wave pause`, `wave resume`, `wave accelerate --factor 4`, `wave set --policy accelerated-waves --exact`. */
async function steer(life: Life): Promise<void> {
  const update = named('1.2.0');
  const [hold, go, faster] = [life.at(36) + LEAD, life.at(60) + LEAD, life.at(72)];
  const started = await life.release('1.2.0');

  life.moveTo(36);
  await life.edit(() => [{ kind: 'pause-waves', update, from: waveTime(life.at(36)), at: waveTime(hold) }]);
  await life.publish('wave pause', ({ manifest }) => {
    const paused = findUpdate(manifest, update);
    assert.deepEqual(paused.gantry, { ...started.gantry, paused: { at: waveTime(hold), waves: started.waves } });
    for (const days of [0n, 10n, 1000n]) {
      assert.equal(share(paused, hold + days * 24n * HOUR), share(started, hold));
      assert.equal(agents(paused, hold + days * 24n * HOUR), agents(started, hold));
    }
  });

  life.moveTo(60);
  await life.edit(() => [{ kind: 'resume-waves', update, from: waveTime(go), at: waveTime(go) }]);
  await life.publish('wave resume', ({ manifest }) => {
    const resumed = findUpdate(manifest, update);
    assert.deepEqual([resumed.gantry?.paused, resumed.gantry?.severity], [undefined, 'important']);
    for (const hours of [0n, 1n, 12n, 48n, 96n]) {
      assertNear(share(resumed, go + hours * HOUR), share(started, hold + hours * HOUR), 0.01);
      assertNear(agents(resumed, go + hours * HOUR), agents(started, hold + hours * HOUR), 0.001);
    }
    assert.equal(share(resumed, go + 120n * HOUR), 1);
  });

  const slow = await life.release('1.2.0');
  life.moveTo(72);
  await life.edit(() => [{ kind: 'accelerate-waves', update, from: waveTime(faster), at: waveTime(faster), factor: 4 }]);
  await life.publish('wave accelerate', ({ manifest }) => {
    const { waves } = findUpdate(manifest, update);
    assertNear(Number(endOf(waves) - faster), Number(endOf(slow.waves) - faster) / 4, Number(HOUR));
    assert.equal(share({ ...slow, waves }, faster), share(slow, faster));
  });

  life.moveTo(73);
  const waves = policyWaves(await readWavePolicy(life.engineer.workspace, 'accelerated-waves'), life.at(73));
  await life.edit(() => [{ kind: 'set-waves', update, waves }]);
  await life.publish('wave set --exact', ({ manifest }) => {
    const set = findUpdate(manifest, update);
    const hours = { '0': 74, '61': 77, '245': 81, '819': 89, '1638': 97 };
    assert.deepEqual(set.waves, Object.fromEntries(Object.entries(hours).map(([bound, hour]) => [bound, waveTime(life.at(hour))])));
    assert.deepEqual(set.gantry, { severity: 'important', notes: 'Faster.\nSmaller.' });
  });
}

/** `release recall 1.2.0 --to 1.1.0`, `release remove 1.2.0`. */
async function withdraw(life: Life): Promise<void> {
  const update = named('1.2.0');
  const standing = await life.release('1.2.0');
  life.moveTo(80);
  await life.edit(() => [{ kind: 'recall', update, to: '1.1.0', at: waveTime(life.at(80)) }]);
  await life.publish('release recall', ({ manifest }) => {
    assert.deepEqual(findUpdate(manifest, update), { ...standing, max_version: '1.1.0' });
    const offered = findUpdate(manifest, named('1.1.0'));
    assert.deepEqual([offered.max_version, share(offered, life.at(80))], ['1.1.0', 1]);
  });

  life.moveTo(81);
  await life.edit((offer) => removalOf(offer, update));
  await life.publish('release remove', ({ manifest, names }) => {
    const [left, ...others] = manifest.updates;
    assert.ok(left !== undefined && others.length === 0);
    assert.deepEqual([left.version, left.max_version], ['1.1.0', '1.1.0']);
    assertImages(left, names);
    assert.ok(!names.some((name) => name.includes('-1.2.0-')));
    // Hosts that still run it need the way back.
    assert.deepEqual(manifest.migrations, { '(1.1.0, 1.2.0)': [MIGRATION] });
    assert.ok(names.includes(MIGRATION));
  });
}

test('every client follows a rollout from its release to its removal', { concurrency: PEER_NAMES.length }, async (t) => {
  const life = await begin(t);
  await release(life);
  await steer(life);
  await withdraw(life);
});
