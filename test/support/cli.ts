/** The command line as a child process, as a user runs it. */
import { spawn, type ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';
import { cp, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryDirectory, writeImages, type Cleanup } from './engineer.ts';

const BIN = join(import.meta.dirname, '..', '..', 'cli', 'gantry.ts');

export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly cwd: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Another form of the command than its sources. */
  readonly bin?: string;
  /** Told when the child runs, for example to interrupt it. */
  readonly onStart?: (child: ChildProcess) => void;
}

/** No terminal, nothing on stdin: whatever waits for input fails instead. */
export async function gantry(args: readonly string[], { cwd, env, bin = BIN, onStart }: CliOptions): Promise<CliResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [bin, ...args], {
      cwd,
      env: { ...process.env, FORCE_COLOR: undefined, NO_COLOR: '1', XDG_CONFIG_HOME: join(cwd, '..', 'config'), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
    onStart?.(child);
  });
}

/** A workspace with unencrypted keys, a signed root and three images, made by the commands themselves once for each file of tests. */
export async function cliWorkspace(t: Cleanup): Promise<{ readonly directory: string; readonly workspace: string }> {
  const directory = await temporaryDirectory(t);
  made ??= makeOne();
  await cp(await made, directory, { recursive: true, preserveTimestamps: true });
  return { directory, workspace: join(directory, 'my-os') };
}

let made: Promise<string> | undefined;

/** The same of somebody else, with keys of their own. */
export async function strangersWorkspace(t: Cleanup): Promise<{ readonly directory: string; readonly workspace: string }> {
  const directory = await makeOne();
  t.after(async () => rm(directory, { recursive: true, force: true }));
  return { directory, workspace: join(directory, 'my-os') };
}

/** Nothing in it says where it lies. */
async function makeOne(): Promise<string> {
  // It outlives the test that needed it first.
  const directory = await temporaryDirectory({ after: () => undefined });
  process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
  const workspace = join(directory, 'my-os');
  const run = async (args: readonly string[], cwd: string): Promise<void> => {
    const { code, stderr } = await gantry(args, { cwd });
    if (code !== 0) throw new Error(`gantry ${args.join(' ')}: ${stderr}`);
  };
  await mkdir(join(directory, 'work'));
  await run(['init', '../my-os', '--variant', 'metal', '--arch', 'x86_64', '--store', '../public'], join(directory, 'work'));
  await run(['key', 'generate', 'root-a', 'root-b', 'root-c', 'targets', 'online', '--unencrypted'], workspace);
  await run(
    [
      'root',
      'init',
      '--root',
      'root-a,root-b,root-c',
      '--threshold',
      'root=2',
      '--targets',
      'targets',
      '--snapshot',
      'online',
      '--timestamp',
      'online',
    ],
    workspace,
  );
  await run(['sign'], workspace);
  await writeImages(workspace);
  return directory;
}

export const ADD: readonly string[] = ['release', 'add', '1.0.0', '--boot', 'boot.img', '--root', 'root.img', '--hash', 'hash.img'];
