/**
 * A ceremony of 5 holders, threshold 3, in which every command is killed at every step and run again: the root that comes out is
 * always the same, byte for byte, and no signature is lost.
 */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import type { Workspace } from '../../lib/workspace/workspace.ts';
import { gantry, type CliResult } from '../support/cli.ts';
import { arrangements, copyOf, draftFirst, HOLDERS, newCeremony, rootFile, type Ceremony } from '../support/ceremony.ts';
import type { CrashOrder } from './hook.ts';

const HOOK = new URL('hook.ts', import.meta.url).href;
/** Two of the six orders; all of them when everything is asked for. */
const ORDERS = process.env['GANTRY_TEST_CRASH'] === 'full' ? 6 : 2;

interface Scene {
  readonly ceremony: Ceremony;
  readonly sent: Uint8Array;
  readonly folder: string;
}

async function scene(t: TestContext): Promise<Scene> {
  // The commands know no other time than the machine's.
  const ceremony = await newCeremony(t, new Date());
  await draftFirst(ceremony);
  return { ceremony, sent: await rootFile(ceremony), folder: `${ceremony.engineer.directory}/` };
}

async function run(
  args: readonly string[],
  cwd: string,
  order?: Pick<CrashOrder, 'at' | 'log'> & { readonly folder: string },
): Promise<CliResult> {
  if (order === undefined) return gantry(args, { cwd });
  const { folder, ...rest } = order;
  const crash: CrashOrder = { ...rest, how: 'killed', folders: [folder] };
  return gantry(args, { cwd, env: { NODE_OPTIONS: `--import=${HOOK}`, GANTRY_CRASH: JSON.stringify(crash) } });
}

/** Kills the command at each of its steps, from the same start; after each kill it is run again. */
async function killEverywhere(
  { folder }: Scene,
  work: {
    readonly args: (workspace: Workspace) => readonly string[];
    readonly start: () => Promise<Workspace>;
    readonly finished: (workspace: Workspace) => Promise<void>;
  },
): Promise<number> {
  const log = join(folder, 'steps');
  await writeFile(log, '');
  const rehearsal = await work.start();
  const first = await run(work.args(rehearsal), rehearsal.directory, { at: 0, log, folder });
  assert.equal(first.code, 0, first.stderr);
  await work.finished(rehearsal);
  const steps = (await readFile(log, 'utf8')).trimEnd().split('\n');
  for (let at = 1; at <= steps.length; at += 1) {
    const workspace = await work.start();
    const killed = await run(work.args(workspace), workspace.directory, { at, folder });
    assert.equal(killed.code, null, `it was not killed at ${steps[at - 1]}: ${killed.stderr}`);
    const again = await run(work.args(workspace), workspace.directory);
    assert.equal(again.code, 0, `after a kill at ${steps[at - 1]}: ${again.stderr}`);
    await work.finished(workspace);
  }
  return steps.length;
}

test('gantry sign FILE, killed at every step: the file is the old one or the new one, and signing again gives the same', async (t) => {
  const here = await scene(t);
  const { ceremony, sent } = here;
  const file = join(here.folder, 'ann.draft');
  const results = new Set<string>();
  const steps = await killEverywhere(here, {
    args: () => ['sign', file, '--keys-dir', ceremony.keysOf('ann')],
    start: async () => {
      await writeFile(file, sent);
      return ceremony.engineer.workspace;
    },
    finished: async () => void results.add(sha256Hex(await readFile(file))),
  });
  assert.equal(results.size, 1);
  t.diagnostic(`killed at ${steps} steps`);
});

test('gantry draft import, killed at every step, in several orders: always the same root', async (t) => {
  const here = await scene(t);
  const { ceremony, sent } = here;
  const holders = HOLDERS.slice(1, 4);
  for (const holder of holders) {
    const file = join(here.folder, `${holder}.draft`);
    await writeFile(file, sent);
    const signed = await run(['sign', file, '--keys-dir', ceremony.keysOf(holder)], ceremony.engineer.workspace.directory);
    assert.equal(signed.code, 0, signed.stderr);
  }
  const roots = new Set<string>();
  let steps = 0;
  for (const order of arrangements(holders, 3).slice(0, ORDERS)) {
    steps += await killEverywhere(here, {
      args: () => ['draft', 'import', ...order.map((holder) => join(here.folder, `${holder}.draft`))],
      start: async () => copyOf(ceremony.engineer.workspace, join(here.folder, 'copy')),
      finished: async ({ directory }) => {
        roots.add(sha256Hex(await readFile(join(directory, '1.root.json'))));
        await assert.rejects(readFile(join(directory, 'drafts', 'root.json')), { code: 'ENOENT' });
      },
    });
  }
  assert.equal(roots.size, 1);
  t.diagnostic(`killed at ${steps} steps`);
});
