/**
 * What a host's agent pays for the client library: for importing it, and for opening a repository and refusing its root, which loads all
 * that a refresh needs. Each measurement is a process of its own, beside one that does nothing, and the medians are compared.
 *
 *   node test/bench/client-import.ts           of the built package: `npm run build` first
 *   node test/bench/client-import.ts --short   the same; fails when the import takes twice its promise
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const runFile = promisify(execFile);
const ENTRY = join(import.meta.dirname, '..', '..', 'dist', 'lib', 'client', 'index.js');
const ROUNDS = 9;
const TIME_PROMISE_MS = 60;
const MEMORY_PROMISE = 40e6;

const USES = {
  nothing: '',
  import: `await import(${JSON.stringify(ENTRY)});`,
  'import and open': `const { openRepository } = await import(${JSON.stringify(ENTRY)});
    await openRepository({ root: Buffer.alloc(0), metadataUrl: 'http://127.0.0.1/', stateDirectory: '.' }).catch(() => {});`,
} as const;
type Use = keyof typeof USES;

interface Cost {
  readonly ms: number;
  readonly bytes: number;
}

async function costOf(use: Use): Promise<Cost> {
  const code = `const started = performance.now(); ${USES[use]}
    console.log(JSON.stringify({ ms: performance.now() - started, bytes: process.memoryUsage.rss() }));`;
  const { stdout } = await runFile(process.execPath, ['--input-type=module', '-e', code]);
  // Proof: the program above prints it.
  return JSON.parse(stdout) as Cost;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}

const uses: readonly Use[] = ['nothing', 'import', 'import and open'];
const costs = new Map<Use, Cost[]>(uses.map((use) => [use, []]));
for (let round = 0; round < ROUNDS; round += 1) for (const use of uses) costs.get(use)?.push(await costOf(use));
const medianOf = (use: Use, member: keyof Cost): number => median((costs.get(use) ?? []).map((cost) => cost[member]));
for (const use of uses.slice(1)) {
  const [ms, bytes] = [medianOf(use, 'ms'), medianOf(use, 'bytes') - medianOf('nothing', 'bytes')];
  const isBroken = use === 'import' && process.argv.includes('--short') && (ms > TIME_PROMISE_MS * 2 || bytes > MEMORY_PROMISE * 2);
  const promise = use === 'import' ? ` (promise ${TIME_PROMISE_MS} ms, ${MEMORY_PROMISE / 1e6} MB)` : '';
  console.log(
    `${use.padEnd(18)} ${ms.toFixed(0)} ms and ${(bytes / 1e6).toFixed(1)} MB over bare Node${promise}${isBroken ? '  BROKEN' : ''}`,
  );
  if (isBroken) process.exitCode = 1;
}
