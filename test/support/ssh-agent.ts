/** A real ssh-agent with keys of its own. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { TestContext } from 'node:test';
import { temporaryDirectory } from './engineer.ts';
import { requireTool } from './tools.ts';

const run = promisify(execFile);

export interface TestAgent {
  readonly env: { readonly SSH_AUTH_SOCK: string };
  /** Makes a key, and lets the agent hold it. @returns its fingerprint */
  add(comment: string, ...kind: readonly string[]): Promise<string>;
  ssh(program: string, ...args: readonly string[]): Promise<void>;
}

/** Undefined where the machine has none: the test is skipped. */
export async function startAgent(t: TestContext): Promise<TestAgent | undefined> {
  if (!['ssh-agent', 'ssh-add', 'ssh-keygen'].every((tool) => requireTool(t, tool))) return undefined;
  const directory = await temporaryDirectory(t);
  const socket = join(directory, 'agent');
  const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
  const ended = once(agent, 'exit');
  t.after(async () => {
    agent.kill();
    await ended;
  });
  while (!(await exists(socket))) await sleep(10);
  const env = { ...process.env, SSH_AUTH_SOCK: socket };
  let made = 0;
  return {
    env: { SSH_AUTH_SOCK: socket },
    async add(comment, ...kind) {
      const file = join(directory, `key-${made++}`);
      await run('ssh-keygen', ['-q', ...kind, '-N', '', '-C', comment, '-f', file]);
      await run('ssh-add', ['-q', file], { env });
      const { stdout } = await run('ssh-keygen', ['-lf', file]);
      return stdout.split(' ')[1] ?? '';
    },
    async ssh(program, ...args) {
      await run(program, args, { env });
    },
  };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
