/** Talks to the oracle: questions go in as lines, answers come back in their order. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Update } from '../../../../lib/release/manifest.ts';
import { floorSecond, waveTime, type Instant } from '../../../../lib/release/wave-time.ts';
import { chronoOracle } from '../../../support/peers.ts';

export interface Oracle {
  /**
   * What hosts with this schedule see.
   *
   * @returns one answer for each host; `panic` where it would stop
   */
  updateReady(waves: Update['waves'], hosts: readonly Host[]): Promise<readonly (boolean | 'panic')[]>;
  /** Nanoseconds since 1970; undefined for a text that hosts refuse. */
  readTimes(texts: readonly string[]): Promise<readonly (Instant | undefined)[]>;
  close(): Promise<void>;
}

/** Somebody who asks whether the update may be had. */
export interface Host {
  readonly seed: number;
  readonly now: Instant;
}

/** Starts the program of this folder; builds it on first use. */
export async function startOracle(): Promise<Oracle> {
  const child = spawn(await chronoOracle(), { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child, 'spawn');
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (questions: readonly object[]): Promise<readonly unknown[]> => {
    child.stdin.write(questions.map((question) => `${JSON.stringify(question)}\n`).join(''));
    const given: unknown[] = [];
    while (given.length < questions.length) {
      const next = await answers.next();
      if (next.done === true) throw new Error(`the oracle stopped at ${JSON.stringify(questions[given.length])}`);
      given.push(JSON.parse(next.value));
    }
    return given;
  };
  return {
    async updateReady(waves, hosts) {
      const questions = hosts.map(({ seed, now }, index) => ({ ...(index === 0 ? { waves } : {}), seed, now: timeText(now) }));
      // The program answers these questions with nothing else.
      return (await ask(questions)) as readonly (boolean | 'panic')[];
    },
    async readTimes(texts) {
      const times = await ask(texts.map((time) => ({ time })));
      return times.map((time) => (typeof time === 'string' ? BigInt(time) : undefined));
    },
    async close() {
      child.stdin.end();
      if (child.exitCode === null) await once(child, 'exit');
    },
  };
}

/** RFC 3339 to the nanosecond. */
export function timeText(instant: Instant): string {
  const second = floorSecond(instant);
  const fraction = String(instant - second).padStart(9, '0');
  return waveTime(second).replace('Z', fraction === '000000000' ? 'Z' : `.${fraction}Z`);
}
