import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { temporaryDirectory } from '../support/engineer.ts';
import { testRaces } from './judged.ts';
import type { StoreSpec } from './messages.ts';

async function newStore(t: TestContext, conditions: 'kept' | 'ignored'): Promise<StoreSpec> {
  return { kind: 'directory', directory: join(await temporaryDirectory(t), 'public'), conditions };
}

testRaces({
  name: 'a directory',
  newStore: async (t) => newStore(t, 'kept'),
  newCarelessStore: async (t) => newStore(t, 'ignored'),
});
