/** The same tests against every S3 server; what this machine lacks is skipped by name. */
import { after, before, describe } from 'node:test';
import { S3_SERVER_KINDS, skipReason, startS3Server, type S3Server, type S3ServerKind } from './s3-server.ts';

/** @param tests declares them; the server runs while they do, and throws when it is asked before */
export async function describeEachS3Server(tests: (kind: S3ServerKind, server: S3Server) => void): Promise<void> {
  for (const kind of S3_SERVER_KINDS) {
    describe(kind, { skip: await skipReason(kind) }, () => {
      let started: S3Server | undefined;
      const running = (): S3Server => {
        if (started === undefined) throw new TypeError(`${kind} runs only while its tests do`);
        return started;
      };
      before(async () => {
        started = await startS3Server(kind);
      });
      after(async () => started?.stop());
      tests(kind, {
        get endpoint() {
          return running().endpoint;
        },
        get region() {
          return running().region;
        },
        get credentials() {
          return running().credentials;
        },
        get directory() {
          return running().directory;
        },
        get client() {
          return running().client;
        },
        bucket: async (name) => running().bucket(name),
        stop: async () => running().stop(),
      });
    });
  }
}
