/** What is published while it is killed: each scenario starts from a live repository and ends with another one. */
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { refreshRepository } from '../../lib/publish/refresh.ts';
import { publishRepository } from '../../lib/publish/publish.ts';
import { addRelease } from '../../lib/publish/release.ts';
import { draftRoot, specOf } from '../../lib/repository/root-draft.ts';
import type { RepositoryName } from '../../lib/workspace/config.ts';
import { requireRootChain, saveRootDraft } from '../../lib/workspace/root-files.ts';
import { openWorkspace } from '../../lib/workspace/workspace.ts';
import { METAL, engineerWithRoot, sign, writeImages, type Engineer } from '../support/engineer.ts';
import { folderSnapshot, type Place } from './place.ts';

const CLOUD: RepositoryName = { variant: 'cloud', arch: 'x86_64' };
/** The hosts of the harness look at every file themselves. */
const PUBLISH: readonly string[] = ['publish', '--verify', 'metadata'];
/** It goes up to S3 in two parts. */
const PARTED_BYTES = 9 << 20;

export interface Scenario {
  readonly place: Place;
  readonly directory: string;
  readonly workspace: string;
  readonly repositories: readonly RepositoryName[];
  /** What is killed, and run again. */
  readonly args: readonly string[];
  /** What must be run once more when the store was put back. */
  readonly prepare?: readonly string[];
  /** Puts store and workspace back to the beginning. */
  readonly restart: () => Promise<void>;
}

/** A release on top of another one; to S3 its root image goes up in parts. */
export async function aRelease(t: TestContext, makePlace: MakePlace): Promise<Scenario> {
  const { engineer, place } = await begin(t, makePlace, [METAL]);
  await draftRelease(engineer, place, place.host === undefined ? undefined : PARTED_BYTES);
  return scenario(engineer, place, { repositories: [METAL], args: releaseArgs(place) });
}

/** The next root, which is live as soon as it is stored. */
export async function aRoot(t: TestContext, makePlace: MakePlace): Promise<Scenario> {
  const { engineer, place } = await begin(t, makePlace, [METAL]);
  const { latest } = await requireRootChain(engineer.workspace);
  await saveRootDraft(engineer.workspace, draftRoot(specOf(latest.role), engineer.now, engineer.workspace.expiry, latest.role));
  await sign(engineer);
  return scenario(engineer, place, { repositories: [METAL], args: [...PUBLISH, '--yes'] });
}

/** Fresh dates for two repositories, one after the other. */
export async function twoRepositories(t: TestContext, makePlace: MakePlace): Promise<Scenario> {
  const { engineer, place } = await begin(t, makePlace, [METAL, CLOUD]);
  await refreshAll(engineer, place, [METAL, CLOUD]);
  return scenario(engineer, place, { repositories: [METAL, CLOUD], args: PUBLISH });
}

/** A release on top of another one, as a plan says. */
export async function aPlan(t: TestContext, makePlace: MakePlace): Promise<Scenario> {
  const { engineer, place } = await begin(t, makePlace, [METAL]);
  await draftRelease(engineer, place);
  const prepare = ['publish', '--plan', 'plan.json'];
  return scenario(engineer, place, { repositories: [METAL], args: [...releaseArgs(place), 'plan.json'], prepare });
}

/** Files side by side would make another number of steps each time; requests have three each, in whatever order. */
function releaseArgs({ host }: Place): readonly string[] {
  return host === undefined ? [...PUBLISH, '--concurrency', '1'] : PUBLISH;
}

/** @param directory of the scenario */
export type MakePlace = (t: TestContext, directory: string) => Promise<Place>;

/** Version 1.0.0 is live in every repository. */
async function begin(
  t: TestContext,
  makePlace: MakePlace,
  repositories: readonly RepositoryName[],
): Promise<{ readonly engineer: Engineer; readonly place: Place }> {
  const usual = await engineerWithRoot(t, new Date());
  const place = await makePlace(t, usual.directory);
  const { directory } = usual.workspace;
  const config = join(directory, 'gantry.toml');
  const toml = (await readFile(config, 'utf8')).replace(/^store = .*$/mu, `store = ${JSON.stringify(place.location)}`);
  await writeFile(config, toml);
  for (const { variant, arch } of repositories.slice(1)) {
    await appendFile(config, `\n[[repository]]\nvariant = "${variant}"\narch = "${arch}"\n`);
  }
  await appendFile(config, place.settings);
  const engineer = { ...usual, workspace: await openWorkspace(directory), store: place.store };
  for (const repository of repositories) {
    await addRelease(engineer.workspace, place.store, await input(engineer, repository, '1.0.0'));
    await sign(engineer);
    await publishRepository(engineer.workspace, place.store, repository, { now: engineer.now });
  }
  return { engineer, place };
}

async function draftRelease(engineer: Engineer, { store }: Place, rootBytes?: number): Promise<void> {
  await addRelease(engineer.workspace, store, await input(engineer, METAL, '1.1.0', rootBytes));
  await sign(engineer);
}

async function refreshAll(engineer: Engineer, { store }: Place, repositories: readonly RepositoryName[]): Promise<void> {
  for (const repository of repositories) {
    await refreshRepository(engineer.workspace, store, repository, { now: engineer.now, roles: 'online' });
  }
  await sign(engineer);
}

async function input(
  engineer: Engineer,
  repository: RepositoryName,
  version: string,
  rootBytes?: number,
): Promise<Parameters<typeof addRelease>[2]> {
  const images = await writeImages(engineer.directory, rootBytes === undefined ? {} : { rootBytes });
  return { repository, version, images, compression: 'zstd', level: 3, now: engineer.now };
}

async function scenario(
  { directory, workspace: { directory: workspace } }: Engineer,
  place: Place,
  rest: Pick<Scenario, 'repositories' | 'args' | 'prepare'>,
): Promise<Scenario> {
  const made = { ...rest, place, directory, workspace };
  return { ...made, restart: await snapshot(made, 'start') };
}

/** Store and workspace as they are now. @returns what puts both back */
export async function snapshot({ place, workspace }: Pick<Scenario, 'place' | 'workspace'>, name: string): Promise<() => Promise<void>> {
  const restores = [await place.snapshot(name), await folderSnapshot(workspace, name)];
  return async () => void (await Promise.all(restores.map(async (restore) => restore())));
}
