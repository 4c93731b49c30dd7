/** Publishers in processes of their own, warm before the first race. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Cleanup } from '../support/engineer.ts';
import type { Answer, Command, Outcome } from './messages.ts';

const PROGRAM = join(import.meta.dirname, 'publisher.ts');

export interface Publisher {
  /** For a command that is answered once. @throws Error when the process ends instead */
  ask(command: Command): Promise<void>;
  /** @param onPlanned told the token of what was planned from, when the publisher waits */
  publish(command: Command, onPlanned: (base: string) => void): Promise<Outcome>;
  /** From the barrier on. */
  go(): void;
}

export function startPublishers(t: Cleanup, count: number): readonly Publisher[] {
  return Array.from({ length: count }, () => {
    const child = fork(PROGRAM, { execArgv: [], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    t.after(async () => {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    });
    return publisherIn(child);
  });
}

function publisherIn(child: ChildProcess): Publisher {
  const converse = async (command: Command, onAnswer: (answer: Answer) => boolean): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onMessage = (message: unknown): void => {
      // Proof: the program at the other end is ours.
      if (onAnswer(message as Answer)) resolve();
    };
    const onExit = (code: number | null): void => reject(new Error(`a publisher ended with ${code} while it was told: ${command.kind}`));
    child.on('message', onMessage);
    child.once('exit', onExit);
    try {
      child.send(command);
      await promise;
    } finally {
      child.off('message', onMessage);
      child.off('exit', onExit);
    }
  };
  return {
    ask: async (command) => converse(command, ({ kind }) => kind === 'ready'),
    async publish(command, onPlanned) {
      let outcome: Outcome | undefined;
      await converse(command, (answer) => {
        if (answer.kind === 'planned') onPlanned(answer.base);
        if (answer.kind === 'done') outcome = answer.outcome;
        return answer.kind === 'done';
      });
      if (outcome === undefined) throw new RangeError('it is done without an outcome');
      return outcome;
    },
    go: () => void child.send({ kind: 'go' } satisfies Command),
  };
}
