/**
 * A publisher in a process of its own: drafts, signs and publishes when it is told to, as `gantry` would.
 *
 * It stays for many rounds, so that a race is not won by whose process happens to start first, and it waits at a barrier behind its
 * planning, so that those who race have planned from the same state.
 */
import { isGantryError } from '../../lib/errors.ts';
import { passphraseFrom } from '../../lib/keys/passphrase.ts';
import { publishRepository } from '../../lib/publish/publish.ts';
import { signDrafts } from '../../lib/publish/sign.ts';
import { createDirectoryStore } from '../../lib/store/directory.ts';
import { createS3Store } from '../../lib/store/s3/s3.ts';
import type { Store } from '../../lib/store/store.ts';
import { openWorkspace, type Workspace } from '../../lib/workspace/workspace.ts';
import { exitCodeOf } from '../../cli/exit-codes.ts';
import { useCredentials } from '../services/aws-environment.ts';
import { METAL } from '../support/engineer.ts';
import { carelessStore, delegate } from '../support/faulty-store.ts';
import { draftSmallRelease } from '../support/small-release.ts';
import type { Answer, Barrier, Command, Outcome, Signing, StoreSpec } from './messages.ts';

/** Not probed: whether conditions hold is what the race shows. */
export async function openStoreOf(spec: StoreSpec): Promise<Store> {
  if (spec.kind === 'directory') {
    const store = createDirectoryStore(spec.directory);
    return spec.conditions === 'kept' ? store : carelessStore(store);
  }
  useCredentials(spec.credentials);
  return delegate(await createS3Store({ bucket: spec.bucket, prefix: 'os' }, { ...spec, pathStyle: true }));
}

interface Desk {
  readonly workspace: Workspace;
  readonly keysDirectory: string;
  readonly store: Store;
  readonly signing: Signing;
}

let desk: Desk | undefined;
let go: () => void = () => undefined;

function tell(answer: Answer): void {
  process.send?.(answer);
}

async function sign({ workspace, store, keysDirectory }: Desk): Promise<void> {
  await signDrafts(workspace, store, { keysDirectory, passphrases: passphraseFrom({ env: {} }), now: new Date() });
}

async function publish(at: Desk, store: Store): Promise<Outcome> {
  try {
    const again = at.signing === 'at hand' ? { signAgain: async () => sign(at) } : {};
    const { plan } = await publishRepository(at.workspace, store, METAL, { now: new Date(), ...again });
    const { timestamp } = plan.base;
    if (timestamp === undefined) throw new RangeError('a race begins with something published');
    return { result: 'won', base: timestamp };
  } catch (error) {
    if (!isGantryError(error)) throw error;
    return { result: 'lost', code: error.code, exitCode: exitCodeOf(error.code), message: error.message };
  }
}

/** Waits once, and tells from what was planned. */
function withBarrier(inner: Store, barrier: Barrier): Store {
  let base = 'nothing';
  let hasWaited = false;
  return {
    ...delegate(inner),
    async read(path, options) {
      const object = await inner.read(path, options);
      if (path.endsWith('/timestamp.json')) base = object.info.version;
      return object;
    },
    async write(path, body, options) {
      if (!hasWaited && (barrier === 'first write' || path.endsWith('/timestamp.json'))) {
        hasWaited = true;
        const { promise, resolve } = Promise.withResolvers<void>();
        go = resolve;
        tell({ kind: 'planned', base });
        await promise;
      }
      return inner.write(path, body, options);
    },
  };
}

async function obey(command: Command): Promise<Answer | undefined> {
  if (command.kind === 'enter') {
    desk = {
      workspace: await openWorkspace(command.workspace),
      keysDirectory: command.keysDirectory,
      store: await openStoreOf(command.store),
      signing: command.signing,
    };
    return { kind: 'ready' };
  }
  if (command.kind === 'go') {
    go();
    return undefined;
  }
  if (desk === undefined) throw new RangeError('nobody has entered');
  switch (command.kind) {
    case 'draft':
      await draftSmallRelease({ ...desk, now: new Date() }, command.release);
      await sign(desk);
      return { kind: 'ready' };
    case 'publish':
      return { kind: 'done', outcome: await publish(desk, withBarrier(desk.store, command.barrier)) };
    case 'rebase':
      await sign(desk);
      return { kind: 'done', outcome: await publish(desk, desk.store) };
  }
}

async function answerTo(command: Command): Promise<void> {
  const answer = await obey(command);
  if (answer !== undefined) tell(answer);
}

// Only in a process of its own; the harness takes `openStoreOf` from here as well.
if (process.send !== undefined && process.argv[1] === import.meta.filename) {
  process.on('disconnect', () => process.exit());
  process.on('message', (message: unknown) => {
    // Proof: only the harness talks to this process.
    void answerTo(message as Command);
  });
}
