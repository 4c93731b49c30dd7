import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { createContext, type OwnContext } from '../../cli/context.ts';
import { isGantryError } from '../../lib/errors.ts';

function contextOf(t: TestContext, args: readonly string[]): OwnContext {
  const context = createContext(args);
  t.after(() => context.end());
  return context;
}

test('createContext() finds the flags that count before parsing when they are given alone or together', (t) => {
  const flags = (args: readonly string[]): readonly boolean[] => {
    const { json, quiet } = contextOf(t, args);
    return [json, quiet];
  };
  assert.deepEqual(flags(['status']), [false, false]);
  assert.deepEqual(flags(['status', '--json']), [true, false]);
  assert.deepEqual(flags(['-yq', 'status']), [false, true]);
  assert.deepEqual(flags(['lint', '--', '--json', '-q']), [false, false]);
});

test('confirm() answers yes when --yes is given', async (t) => {
  for (const flag of ['--yes', '-y', '-qy']) assert.equal(await contextOf(t, [flag]).confirm('Really?'), true);
});

test('confirm() refuses instead of waiting when nobody can be asked', async (t) => {
  const { canAsk, confirm } = contextOf(t, ['--json']);
  assert.equal(canAsk, false);
  await assert.rejects(confirm('Really?'), (error) => isGantryError(error, 'usage/confirm') && error.details.question === 'Really?');
});

const listeners = (): readonly number[] => [process.listenerCount('SIGINT'), process.listenerCount('SIGTERM')];

test('end() lets go of the process', () => {
  const before = listeners();
  createContext(['--quiet']).end();
  assert.deepEqual(listeners(), before);
});

test('the signal fires once when the process is interrupted, and the second signal of one Ctrl-C ends nothing', (t) => {
  const others = { SIGINT: process.listeners('SIGINT'), SIGTERM: process.listeners('SIGTERM') };
  const context = createContext(['--quiet']);
  t.after(() => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      for (const one of process.listeners(signal)) if (!others[signal].includes(one)) process.off(signal, one);
    }
  });
  let fired = 0;
  context.signal.addEventListener('abort', () => (fired += 1));
  process.emit('SIGTERM');
  assert.ok(isGantryError(context.signal.reason, 'aborted'));
  context.end();
  process.emit('SIGTERM');
  process.emit('SIGINT');
  assert.equal(fired, 1);
});
