/** Runs the steps of the demo, tells about each, and sums up. */
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GantryError, quote } from '../../lib/errors.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import type { Outcome } from '../program.ts';
import { formatBytes, formatDuration, formatRate } from '../ui/format.ts';
import { hintFor } from '../ui/hints.ts';
import { paintResult, sign } from '../ui/style.ts';
import { table } from '../ui/table.ts';
import { paths, type Scene } from './scene.ts';
import { steps, type Step, type StepOutcome } from './steps.ts';

export interface DemoOptions {
  /** Kept afterwards; absent: a temporary one. */
  readonly directory?: string;
  readonly keepServing: boolean;
  readonly exampleKeys: boolean;
}

interface StepResult {
  readonly id: string;
  readonly title: string;
  readonly ok: boolean;
  readonly ms: number;
  readonly facts: Readonly<Record<string, string | number>>;
  readonly refused?: { readonly code: string; readonly message: string };
  readonly error?: string;
}

/** @throws GantryError `workspace/exists` */
export async function runDemo(context: Context, options: DemoOptions): Promise<Outcome> {
  const directory = options.directory === undefined ? await mkdtemp(join(tmpdir(), 'gantry-demo-')) : await newDirectory(options.directory);
  const scene: Scene = {
    directory,
    repository: { variant: 'demo', arch: process.arch === 'arm64' ? 'aarch64' : 'x86_64' },
    exampleKeys: options.exampleKeys,
    totals: { downloadedBytes: 0, downloadMs: 0, requests: 0, publishedBytes: 0 },
  };
  const started = performance.now();
  let goesOn = false;
  const cleanUp = async (): Promise<void> => {
    scene.host?.close();
    await scene.server?.close();
    if (options.directory === undefined) await rm(directory, { recursive: true, force: true });
  };
  try {
    const results = await runSteps(context, scene);
    const outcome = summary(scene, { results, ms: performance.now() - started, kept: options.directory !== undefined });
    if (!options.keepServing || scene.server === undefined || outcome.exitCode !== EXIT.done) return outcome;
    goesOn = true;
    return {
      ...outcome,
      json: { ...outcome.json, url: scene.server.url.href },
      lines: [...outcome.lines, '', ...invitation(scene)],
      after: async () => {
        if (!context.signal.aborted) await once(context.signal, 'abort');
        await cleanUp();
      },
    };
  } finally {
    if (!goesOn) await cleanUp();
  }
}

/** What a person can try while the server is up. */
function invitation(scene: Scene): readonly string[] {
  const { variant, arch } = scene.repository;
  const url = `${scene.server?.url.href ?? ''}${variant}/${arch}`;
  return ['Serving until Ctrl-C. Try:', `  gantry verify ${url} --root ${paths(scene).workspace}/1.root.json --targets`];
}

async function newDirectory(directory: string): Promise<string> {
  await mkdir(directory, { recursive: true });
  if ((await readdir(directory)).length === 0) return directory;
  throw new GantryError(
    'workspace/exists',
    `Cannot run the demo in ${quote(directory)}: it is not empty; expected a new or empty directory`,
    {
      path: directory,
    },
  );
}

async function runSteps(context: Context, scene: Scene): Promise<readonly StepResult[]> {
  const results: StepResult[] = [];
  for (const [index, step] of steps.entries()) {
    context.signal.throwIfAborted();
    tell(context, paintResult('bold', `${String(index + 1).padStart(2)}. ${step.title}`));
    const result = await runStep(context, step, scene);
    results.push(result);
    // What follows builds on it.
    if (!result.ok) break;
  }
  return results;
}

async function runStep(context: Context, step: Step, scene: Scene): Promise<StepResult> {
  const started = performance.now();
  const { id, title } = step;
  try {
    const outcome = await step.run(scene);
    const ms = Math.round(performance.now() - started);
    for (const line of outcome.lines) tell(context, `    ${line}`);
    tellRefusal(context, outcome);
    return {
      id,
      title,
      ok: true,
      ms,
      facts: outcome.facts ?? {},
      ...(outcome.refused === undefined ? {} : { refused: { code: outcome.refused.code, message: outcome.refused.message } }),
    };
  } catch (error) {
    context.signal.throwIfAborted();
    const message = error instanceof Error ? error.message : String(error);
    tell(context, `    ${paintResult('red', sign.failed)} ${message}`);
    return { id, title, ok: false, ms: Math.round(performance.now() - started), facts: {}, error: message };
  }
}

/** The very words that a user would get. */
function tellRefusal(context: Context, { refused }: StepOutcome): void {
  if (refused === undefined) return;
  tell(context, `    ${paintResult('red', 'error:')} ${refused.message}`);
  const hint = hintFor(refused);
  if (hint !== undefined) tell(context, `    ${paintResult('cyan', 'hint:')} ${hint}`);
  tell(context, `    ${paintResult('green', sign.done)} refused, as it must be`);
}

function tell(context: Context, line: string): void {
  if (!context.json) process.stdout.write(`${line}\n`);
}

function summary(
  scene: Scene,
  { results, ms, kept }: { readonly results: readonly StepResult[]; readonly ms: number; readonly kept: boolean },
): Outcome {
  const ok = results.length === steps.length && results.every((result) => result.ok);
  const { downloadedBytes, downloadMs, requests, publishedBytes } = scene.totals;
  const peakMemoryBytes = process.resourceUsage().maxRSS * 1024;
  const totals = {
    ms: Math.round(ms),
    publishedBytes,
    imageBytes: downloadedBytes,
    imageMs: Math.round(downloadMs),
    requests,
    peakMemoryBytes,
  };
  const refusals = results.filter(({ refused }) => refused !== undefined).length;
  const rows = [
    ['published', formatBytes(publishedBytes)],
    ['images verified by the host', formatBytes(downloadedBytes)],
    ['verified, decompressed and compared at', formatRate(downloadedBytes, downloadMs)],
    ['requests', String(requests)],
    ['attacks refused', String(refusals)],
    ['peak memory', formatBytes(peakMemoryBytes)],
    ['time', formatDuration(ms)],
  ];
  const done = results.filter((result) => result.ok).length;
  return {
    json: { ok, steps: results, totals, ...(kept ? { directory: scene.directory } : {}) },
    lines: [
      '',
      ...table(rows, { head: [ok ? 'All of it went as it must' : `${done} of ${steps.length} steps went as they must`, ''], right: [1] }),
      '',
      ...(kept ? [`Everything is in ${scene.directory}; try: gantry -C ${paths(scene).workspace} status`] : []),
      'Next: gantry init my-os --variant metal --arch x86_64 --store ./public',
    ],
    exitCode: ok ? EXIT.done : EXIT.refused,
  };
}
