/**
 * Attacks on metadata as tables: what is published, what the attacker does, how it is refused, and what is on the disk afterwards.
 *
 * Rules:
 * - every attack is run twice, since a refusal must not wear off, and against a host that trusts version 2 of everything (root 1);
 * - afterwards the disk holds exactly the versions that the specification lets a client keep, and no byte of a target;
 * - its twin does the same without the defect, and is accepted.
 */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { RepositoryClient } from '../../lib/client/index.ts';
import { isGantryError, type ErrorCode } from '../../lib/errors.ts';
import { METADATA } from './simulator.ts';
import { simulatedHost, type SimulatedHost } from './simulated-host.ts';
import { createWorld, type Tampering, type World } from './tuf-world.ts';

export interface AttackScene {
  readonly world: World;
  readonly host: SimulatedHost;
  /** The files as the host knows them. */
  readonly old: ReadonlyMap<string, Uint8Array>;
}

type Step = (scene: AttackScene) => unknown;

/** Versions of root, timestamp, snapshot, targets and the delegated role `team`; 0 for nothing. */
export type Kept = readonly [root: number, timestamp: number, snapshot: number, targets: number, team: number];

export interface Attack {
  readonly attack: Step | Tampering;
  /** By default everything is published as it should be. */
  readonly twin?: Step;
  readonly code: ErrorCode;
  readonly role?: string;
  readonly message?: RegExp;
  readonly kept: Kept;
  /** What both do before: it is no attack. */
  readonly before?: Step;
}

const TEAM = 'team';
export const TEAM_TARGET = 'app.img';
const CONTENT = Buffer.from('the content of a target, which no state directory may hold');
const FILES =
  /^(?:lock\.sqlite.*|trusted-time\.json|(?:root|timestamp|snapshot|targets)\.json|roots(?:\/[0-9]+\.root\.json)?|delegated(?:\/[^/]+\.json)?)$/u;

/** A test for each, named `attack: name`. */
export function attacks(attack: string, table: Readonly<Record<string, Attack>>): void {
  for (const [name, entry] of Object.entries(table)) {
    test(`${attack}: ${name} is refused, and accepted without the defect`, async (t) => {
      await refuse(t, entry);
      await accept(t, entry);
    });
  }
}

/** A host that trusts version 2 of everything and the delegated role. */
async function attackScene(t: TestContext): Promise<AttackScene> {
  const world = await createWorld();
  const team = await world.delegate('targets', { name: TEAM, terminating: false, paths: [TEAM_TARGET] });
  team.version = 1;
  team.targets.set(TEAM_TARGET, CONTENT);
  await world.publish();
  const host = await simulatedHost(t, world);
  await look(await host.open());
  return { world, host, old: new Map(world.files) };
}

async function look(client: RepositoryClient): Promise<void> {
  await client.refresh();
  await client.target(TEAM_TARGET);
}

async function refuse(t: TestContext, { attack, before, code, role, message, kept }: Attack): Promise<void> {
  const scene = await attackScene(t);
  await before?.(scene);
  await (typeof attack === 'function' ? attack(scene) : scene.world.publish(attack, rolesOf(attack)));
  for (let round = 0; round < 2; round += 1) {
    const client = await scene.host.open({ idleTimeoutMs: 250 });
    await assert.rejects(look(client), (error) => {
      assert.ok(isGantryError(error), String(error));
      assert.equal(error.code, code, error.message);
      if (role !== undefined) assert.deepEqual(error.details, { role });
      if (message !== undefined) assert.match(error.message, message);
      return true;
    });
    assert.deepEqual(await keptBy(scene.host), kept);
    await assertClean(scene.host);
  }
}

async function accept(t: TestContext, { attack, twin, before }: Attack): Promise<void> {
  const scene = await attackScene(t);
  await before?.(scene);
  await (twin === undefined ? scene.world.publish({}, typeof attack === 'function' ? undefined : rolesOf(attack)) : twin(scene));
  await look(await scene.host.open());
}

/** A root is a publication of its own. */
function rolesOf(tampering: Tampering): readonly string[] | undefined {
  return tampering.root === undefined ? undefined : ['root'];
}

async function keptBy(host: SimulatedHost): Promise<Kept> {
  const { root = 0, timestamp = 0, snapshot = 0, targets = 0 } = await host.trusted();
  const team = await readFile(join(host.stateDirectory, 'delegated', `${TEAM}.json`), 'utf8').catch(() => undefined);
  return [root, timestamp, snapshot, targets, team === undefined ? 0 : JSON.parse(team).signed.version];
}

async function assertClean({ stateDirectory }: SimulatedHost): Promise<void> {
  for (const entry of await readdir(stateDirectory, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    assert.match(path.slice(stateDirectory.length + 1), FILES);
    if (entry.isFile()) assert.ok(!(await readFile(path)).includes(CONTENT), `${path} holds a target`);
  }
}

/** Serves these bytes under this name of the metadata. */
export function serving(file: string, bytes: (scene: AttackScene) => Uint8Array): Step {
  return async (scene) => {
    await scene.world.publish();
    scene.world.files.set(METADATA + file, bytes(scene));
  };
}

export function oldFile(scene: AttackScene, file: string): Uint8Array {
  const bytes = scene.old.get(METADATA + file);
  if (bytes === undefined) throw new RangeError(`there was no ${file}`);
  return bytes;
}
