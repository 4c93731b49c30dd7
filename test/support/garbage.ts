/** Publishing and tidying up on a clock of one's own, over any store: what the tests of `gantry gc` are made of. */
import { collectGarbage, planCollection, type Collection } from '../../lib/publish/gc/collect.ts';
import type { Decision } from '../../lib/publish/gc/decide.ts';
import { openCollector } from '../../lib/publish/gc/open.ts';
import { readLive } from '../../lib/publish/live.ts';
import { lookAsHost } from '../../lib/publish/look.ts';
import { baseOf, type PublicationPlan } from '../../lib/publish/plan.ts';
import { publishRepository, type Publication } from '../../lib/publish/publish.ts';
import { prepareEdit, removalOf, saveEdit } from '../../lib/publish/edit.ts';
import { addRelease } from '../../lib/publish/release.ts';
import { draftFrom, MANIFEST_PATH, type Change } from '../../lib/repository/draft.ts';
import type { ObjectInfo, Store, StorePath } from '../../lib/store/store.ts';
import { saveDraft } from '../../lib/workspace/draft-files.ts';
import { METAL, sign, writeImages, type Engineer } from './engineer.ts';

export const HOUR_MS: number = 3_600_000;
export const DAY_MS: number = 24 * HOUR_MS;
export const GRACE_MS: number = 7 * DAY_MS;

/** A store whose objects were written at the times of this clock: no test waits for a week. */
export function withClock(inner: Store, clock: () => Date): Store {
  const written = new Map<string, Date>();
  const dated = (info: ObjectInfo): ObjectInfo => ({ ...info, modified: written.get(info.path) ?? clock() });
  const { unfinished } = inner;
  return {
    description: inner.description,
    async read(path, options) {
      const { info, body } = await inner.read(path, options);
      return { info: dated(info), body };
    },
    async head(path, options) {
      const info = await inner.head(path, options);
      return info === undefined ? undefined : dated(info);
    },
    async write(path, body, options) {
      const version = await inner.write(path, body, options);
      written.set(path, clock());
      return version;
    },
    async *list(prefix, options) {
      for await (const info of inner.list(prefix, options)) yield dated(info);
    },
    remove: async (path) => inner.remove(path),
    ...(unfinished === undefined ? {} : { unfinished }),
  };
}

/** An engineer who lives on a clock that the test sets. */
export class Gardener {
  readonly engineer: Engineer;
  readonly store: Store;
  #images: Awaited<ReturnType<typeof writeImages>> | undefined;

  constructor(engineer: Engineer, inner: Store) {
    this.store = withClock(inner, () => this.now);
    this.engineer = { ...engineer, store: this.store };
  }

  get now(): Date {
    return this.engineer.now;
  }

  pass(ms: number): void {
    this.engineer.now = new Date(this.now.getTime() + ms);
  }

  /** With images of its own, or, when they are `kept`, with those that were used last. */
  async add(version: string, images: 'new' | 'kept' = 'new'): Promise<void> {
    const { workspace, directory, now } = this.engineer;
    if (this.#images === undefined || images === 'new') this.#images = await writeImages(directory);
    const input = { repository: METAL, version, images: this.#images, compression: 'zstd', level: 3, build: 'b1', now } as const;
    await addRelease(workspace, this.store, input);
    await sign(this.engineer);
  }

  async publish(store: Store = this.store): Promise<Publication> {
    return publishRepository(this.engineer.workspace, store, METAL, { now: this.now, clock: () => this.now });
  }

  async release(version: string, images: 'new' | 'kept' = 'new'): Promise<void> {
    await this.add(version, images);
    await this.publish();
  }

  async withdraw(version: string): Promise<void> {
    const { workspace, now } = this.engineer;
    const changesFor: Parameters<typeof prepareEdit>[3]['changesFor'] = (standing) => removalOf(standing, { ...METAL, version });
    await saveEdit(workspace, await prepareEdit(workspace, this.store, METAL, { now, changesFor }));
    await sign(this.engineer);
    await this.publish();
  }

  async plan(graceMs: number = GRACE_MS, store: Store = this.store): Promise<Decision> {
    return planCollection(await openCollector(this.engineer.workspace, store, { graceMs, clock: () => this.now }));
  }

  async collect(graceMs: number = GRACE_MS, store: Store = this.store, signal?: AbortSignal): Promise<Collection> {
    const options = { graceMs, clock: () => this.now, ...(signal === undefined ? {} : { signal }) };
    const collector = await openCollector(this.engineer.workspace, store, options);
    return collectGarbage(collector, await planCollection(collector));
  }

  async paths(prefix = ''): Promise<readonly StorePath[]> {
    const found: StorePath[] = [];
    for await (const { path } of this.store.list(prefix)) found.push(path);
    return found.toSorted();
  }
}

/** With the client library, from the first root, every file. */
export async function assertHostSeesAll({ engineer: { workspace }, store, now }: Gardener): Promise<void> {
  const live = await readLive(workspace, store, METAL);
  const { published } = live.trusted;
  if (published === undefined) throw new Error('nothing is live');
  const plan: PublicationPlan = { repository: METAL, base: baseOf(live), writes: [], changed: [], removed: [] };
  const timestamp = published.timestamp.role.version;
  const look = await lookAsHost(workspace, store, { plan, timestamp }, { depth: 'all', signal: AbortSignal.timeout(60_000) });
  if (look.targets < 1) throw new Error(`nothing was seen at ${now.toISOString()}`);
}

/** Publishes the live images of the gardener once more, as cloud/x86_64 of a workspace with roots of its own. */
export async function publishAsCloud(gardener: Gardener, stranger: Engineer): Promise<void> {
  const cloud = { variant: 'cloud', arch: 'x86_64' };
  const workspace = { ...stranger.workspace, config: { ...stranger.workspace.config, repositories: [cloud] } };
  const theirs: Engineer = { ...stranger, workspace, store: gardener.store, now: gardener.now };
  const ours = await readLive(gardener.engineer.workspace, gardener.store, METAL);
  const targets = Object.entries(ours.trusted.published?.targets.role.targets ?? {}).filter(([path]) => path !== MANIFEST_PATH);
  const changes = targets.map(([path, file]): Change => ({ kind: 'put-target', path, file }));
  const live = await readLive(workspace, theirs.store, cloud);
  const options = { versions: live.versions, now: theirs.now, policy: workspace.expiry };
  await saveDraft(workspace, cloud, draftFrom(live.trusted, changes, options));
  await sign(theirs);
  await publishRepository(workspace, theirs.store, cloud, { now: theirs.now });
}
