/** A published repository on a server with one ailment, examined by the doctor. */
import { join } from 'node:path';
import { after, before, type TestContext } from 'node:test';
import { examineRepository, type DoctorOptions, type DoctorReport } from '../../lib/publish/doctor/doctor.ts';
import { filesOf, startAilingServer, type Ailment, type Answer } from './ailing-server.ts';
import { temporaryDirectory } from './engineer.ts';
import { publishedRepository, type PublishedRepository } from './published-repository.ts';

export const METADATA: string = '/metal/x86_64/';
export const TIMESTAMP: string = `${METADATA}timestamp.json`;
export const NEXT_ROOT: string = `${METADATA}3.root.json`;

export interface Practice {
  /** Set before the first test runs. */
  readonly repository: () => PublishedRepository;
  /** The whole file that is served there. */
  readonly fileAt: (path: string) => Buffer;
  readonly examine: (t: TestContext, ailment?: Ailment, options?: DoctorOptions) => Promise<DoctorReport>;
}

/** One repository for all tests of a file. */
export function openPractice(): Practice {
  let repository: PublishedRepository | undefined;
  let files: ReadonlyMap<string, Buffer> = new Map();
  const cleanups: (() => Promise<void>)[] = [];
  before(async () => {
    repository = await publishedRepository(join(await temporaryDirectory({ after: (work) => cleanups.push(work) }), 'public'));
    files = await filesOf(repository.directory);
  });
  after(async () => {
    for (const cleanup of cleanups) await cleanup();
  });
  return {
    repository: () => {
      if (repository === undefined) throw new Error('before() has not run yet');
      return repository;
    },
    fileAt: (path) => files.get(path.slice(1)) ?? Buffer.alloc(0),
    examine: async (t, ailment, options = {}) => {
      const url = await startAilingServer(t, { files, ...(ailment === undefined ? {} : { ailment }) });
      return examineRepository(new URL(METADATA, url).href, options);
    },
  };
}

/** Another file in place of the published one, with headers that fit. */
export function withBody(answer: Answer, change: (text: string) => string): Answer {
  return { ...answer, body: Buffer.from(change(answer.body.toString())) };
}

export function withHeaders(answer: Answer, headers: Answer['headers']): Answer {
  return { ...answer, headers: { ...answer.headers, ...headers } };
}

export const isTarget = (path: string): boolean => path.startsWith('/targets/');
export const isManifest = (path: string): boolean => path.endsWith('.manifest.json');

/** Applies an ailment to some answers only. */
export function where(choose: (asked: Parameters<Ailment>[1], answer: Answer) => boolean, change: (answer: Answer) => Answer): Ailment {
  return (answer, asked) => (choose(asked, answer) ? change(answer) : answer);
}
