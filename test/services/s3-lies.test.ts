/** Real S3 servers behind a proxy that lies: what hosts get stays whole, and what was lost on the way is published in the end. */
import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type { ErrorCode } from '../../lib/errors.ts';
import { publishRepository } from '../../lib/publish/publish.ts';
import { provenStore } from '../../lib/publish/proven.ts';
import { probeConditions } from '../../lib/store/probe.ts';
import { createS3Store } from '../../lib/store/s3/s3.ts';
import type { Store } from '../../lib/store/store.ts';
import { openWorkspace } from '../../lib/workspace/workspace.ts';
import { describeEachS3Server } from '../support/each-s3-server.ts';
import { METAL, engineerWithRoot, publish, sign, type Engineer } from '../support/engineer.ts';
import { delegate } from '../support/faulty-store.ts';
import { openJudge } from '../support/judge.ts';

import { TRUTH, errorAnswer, startS3Proxy, withoutConditions, type Answer, type Asked, type Lie } from '../support/s3-proxy.ts';
import { draftSmallRelease } from '../support/small-release.ts';
import { storeIn } from './aws-environment.ts';

const isTimestamp = ({ key }: Asked): boolean => key.endsWith('/timestamp.json');
const isRole = ({ key }: Asked): boolean => /\/\d+\.(?:targets|snapshot)\.json$/u.test(key);

interface Case {
  readonly name: string;
  /** What the second publication meets. */
  readonly lie: (asked: Asked) => Lie;
  /** What comes of it; absent: it succeeds all the same. */
  readonly code?: ErrorCode;
}

const CASES: readonly Case[] = [
  {
    name: 'slows down twice',
    lie: (asked) =>
      asked.method === 'PUT' && isRole(asked) && asked.time <= 2
        ? { kind: 'error', status: 503, code: 'SlowDown', effect: 'never' }
        : TRUTH,
  },
  {
    name: 'answers 500 to a timestamp that it has taken',
    lie: (asked) =>
      asked.method === 'PUT' && isTimestamp(asked) && asked.time === 1
        ? { kind: 'error', status: 500, code: 'InternalError', effect: 'before' }
        : TRUTH,
  },
  {
    name: 'gives no answer to roles and a timestamp that it has taken',
    lie: (asked) => (asked.method === 'PUT' && (isTimestamp(asked) || isRole(asked)) && asked.time === 1 ? { kind: 'no answer' } : TRUTH),
  },
  {
    name: 'never takes a timestamp',
    lie: (asked) =>
      asked.method === 'PUT' && isTimestamp(asked) ? { kind: 'error', status: 500, code: 'InternalError', effect: 'never' } : TRUTH,
    code: 'store/failed',
  },
  {
    name: 'denies what is missing',
    lie: () => ({ kind: 'changed', change: (answer: Answer) => (answer.status === 404 ? errorAnswer(403, 'AccessDenied') : answer) }),
    code: 'store/denied',
  },
  {
    name: 'tells another ETag than it has',
    lie: (asked) =>
      asked.method === 'GET' && isTimestamp(asked)
        ? {
            kind: 'changed',
            change: (answer) => ({ ...answer, headers: { ...answer.headers, etag: '"0123456789abcdef0123456789abcdef-2"' } }),
          }
        : TRUTH,
    code: 'publish/conflict',
  },
];

await describeEachS3Server((kind, server) => {
  const behind = async (endpoint: string, bucket: string): Promise<Store> =>
    createS3Store({ bucket, prefix: 'os' }, { endpoint, region: server.region, pathStyle: true });

  const published = async (t: TestContext): Promise<{ readonly engineer: Engineer; readonly bucket: string }> => {
    const bucket = await server.bucket('lies');
    // What the probe finds has tests of its own.
    const engineer = { ...(await engineerWithRoot(t, new Date())), store: delegate(await storeIn(server, bucket)) };
    await draftSmallRelease(engineer, 'metal');
    await sign(engineer);
    await publish(engineer);
    return { engineer, bucket };
  };

  for (const { name, lie, code } of CASES) {
    test(`publishRepository() tears nothing on ${kind} when it ${name}`, async (t) => {
      const { engineer, bucket } = await published(t);
      const judge = await openJudge(engineer.store, {
        rootFile: join(engineer.workspace.directory, '1.root.json'),
        directory: engineer.directory,
      });
      t.after(() => judge.close());
      assert.deepEqual([...(await judge.look())], ['metal']);
      await draftSmallRelease(engineer, 'metal-2');
      await sign(engineer);
      const store = delegate(await behind(await startS3Proxy(t, server, lie), bucket));
      const publishing = publishRepository(engineer.workspace, store, METAL, { now: engineer.now });
      if (code === undefined) await publishing;
      else await assert.rejects(publishing, { code });
      assert.deepEqual([...(await judge.look())], code === undefined ? ['metal', 'metal-2'] : ['metal']);
      if (code === undefined) return;
      await sign(engineer);
      await publish(engineer);
      assert.deepEqual([...(await judge.look())], ['metal', 'metal-2']);
    });
  }

  test(`publishRepository() loses nothing on ${kind} when a cache serves an old timestamp.json`, async (t) => {
    const { engineer, bucket } = await published(t);
    const directory = join(engineer.directory, 'colleague');
    await cp(engineer.workspace.directory, directory, { recursive: true });
    const proxy = await startS3Proxy(t, server, (asked) => (asked.method === 'GET' && isTimestamp(asked) ? { kind: 'stale' } : TRUTH));
    const late: Engineer = { ...engineer, workspace: await openWorkspace(directory), store: delegate(await behind(proxy, bucket)) };
    // From here on the cache serves what it has seen now.
    await draftSmallRelease(late, 'metal-late');
    await draftSmallRelease(engineer, 'metal-2');
    await sign(engineer);
    await publish(engineer);
    await sign(late);
    await assert.rejects(publish(late), { code: 'publish/conflict' });
    const truthful: Engineer = { ...late, store: engineer.store };
    await sign(truthful);
    await publish(truthful);
    const judge = await openJudge(engineer.store, {
      rootFile: join(engineer.workspace.directory, '1.root.json'),
      directory: engineer.directory,
    });
    t.after(() => judge.close());
    assert.deepEqual([...(await judge.look())].toSorted(), ['metal', 'metal-2', 'metal-late']);
  });

  test(`probeConditions() refuses a proxy in front of ${kind} that strips conditions, and provenStore() with it`, async (t) => {
    const { engineer, bucket } = await published(t);
    const store = await behind(await startS3Proxy(t, server, withoutConditions), bucket);
    await assert.rejects(probeConditions(store), { code: 'store/not-atomic' });
    await assert.rejects(provenStore(engineer.workspace, store, { now: engineer.now }), { code: 'store/not-atomic' });
    await draftSmallRelease(engineer, 'metal-2');
    await sign(engineer);
    await assert.rejects(publishRepository(engineer.workspace, store, METAL, { now: engineer.now }), { code: 'store/not-atomic' });
    await publish(engineer);
  });
});
