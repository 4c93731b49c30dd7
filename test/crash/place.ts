/** Where the harness publishes to: a folder or a bucket that can be put back to how it was, and that hosts read over HTTP. */
import { cp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { startStaticServer } from '../../lib/server/static-server.ts';
import { createDirectoryStore } from '../../lib/store/directory.ts';
import type { Store } from '../../lib/store/store.ts';
import { storeIn } from '../services/aws-environment.ts';
import type { Cleanup } from '../support/engineer.ts';
import type { S3Server } from '../support/s3-server.ts';

export interface Place {
  readonly store: Store;
  /** Of `gantry.toml`. */
  readonly location: string;
  /** A table for `gantry.toml`, or nothing. */
  readonly settings: string;
  /** The root of what hosts read. */
  readonly url: URL;
  /** What counts as a step of a publication, see `hook.ts`. */
  readonly folders: readonly string[];
  readonly host?: string;
  /** Remembers what is there now. @returns what puts it back, as often as it is called; uploads that were begun are ended */
  snapshot(name: string): Promise<() => Promise<void>>;
  /** What was begun and is neither an object nor gone. */
  leftovers(): Promise<readonly string[]>;
}

/** @param directory `public` in it is the store; not made before the first publication */
export async function directoryPlace(t: Cleanup, directory: string): Promise<Place> {
  const folder = join(directory, 'public');
  const server = await startStaticServer({ directory });
  t.after(async () => server.close());
  return {
    store: createDirectoryStore(folder),
    location: folder,
    settings: '',
    url: new URL('public/', server.url),
    folders: [`${folder}/`],
    snapshot: async (name) => folderSnapshot(folder, name),
    async leftovers() {
      const names = await readdir(folder, { recursive: true });
      return names.filter((name) => name.includes('uploads/') || name.endsWith('.tmp'));
    },
  };
}

/** @returns what puts the folder back */
export async function folderSnapshot(folder: string, name: string): Promise<() => Promise<void>> {
  const copy = `${folder}.${name}`;
  const options = { recursive: true, preserveTimestamps: true };
  await rm(copy, { recursive: true, force: true });
  await cp(folder, copy, options);
  return async () => {
    await rm(folder, { recursive: true, force: true });
    await cp(copy, folder, options);
  };
}

/** A bucket of its own that everybody may read. */
export async function bucketPlace(server: S3Server): Promise<Place> {
  const Bucket = await server.bucket('crash');
  const reading = { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: `arn:aws:s3:::${Bucket}/*` };
  await server.client.send(new PutBucketPolicyCommand({ Bucket, Policy: JSON.stringify({ Version: '2012-10-17', Statement: [reading] }) }));
  const { client } = server;
  const objects = async (): Promise<readonly { readonly Key: string; readonly ETag: string }[]> => {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }));
    return Contents.map(({ Key = '', ETag = '' }) => ({ Key, ETag }));
  };
  const uploads = async (): Promise<readonly { readonly Key: string | undefined; readonly UploadId: string | undefined }[]> => {
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket }));
    return Uploads.map(({ Key, UploadId }) => ({ Key, UploadId }));
  };
  return {
    store: await storeIn(server, Bucket),
    location: `s3://${Bucket}/os`,
    settings: `\n[s3]\nendpoint = "${server.endpoint}"\nregion = "${server.region}"\npath_style = true\n`,
    url: new URL(`${server.endpoint}/${Bucket}/os/`),
    folders: [],
    host: new URL(server.endpoint).host,
    async snapshot() {
      const kept = new Map<string, { readonly ETag: string; readonly Body: Uint8Array }>();
      for (const { Key, ETag } of await objects()) {
        // Nothing else is ever replaced.
        const isReplaced = Key.endsWith('/timestamp.json');
        const found = isReplaced ? await client.send(new GetObjectCommand({ Bucket, Key })) : undefined;
        kept.set(Key, { ETag, Body: (await found?.Body?.transformToByteArray()) ?? new Uint8Array() });
      }
      return async () => {
        for (const upload of await uploads()) await client.send(new AbortMultipartUploadCommand({ Bucket, ...upload }));
        for (const { Key, ETag } of await objects()) {
          const before = kept.get(Key);
          if (before === undefined) await client.send(new DeleteObjectCommand({ Bucket, Key }));
          else if (before.ETag !== ETag) await client.send(new PutObjectCommand({ Bucket, Key, Body: before.Body }));
        }
      };
    },
    leftovers: async () => (await uploads()).map(({ Key }) => `an upload of ${Key}`),
  };
}
