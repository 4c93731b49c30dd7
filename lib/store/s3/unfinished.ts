/**
 * Large writes whose publisher did not come back: their parts are paid for until somebody removes them.
 *
 * Rules: only uploads below the prefix of the store are looked at; one that has ended meanwhile is as good as removed. MinIO tells of
 * the uploads of one key at a time, and removes forgotten ones by itself after a day.
 */
import type { ListMultipartUploadsCommandInput, ListMultipartUploadsCommandOutput } from '@aws-sdk/client-s3';
import { isStorePath } from '../path.ts';
import type { ReadOptions, Store, UnfinishedWrite } from '../store.ts';
import type { S3Context, Sdk } from './context.ts';
import { nameObject } from './describe.ts';
import { CutListing, isUploadGone } from './failures.ts';

export function unfinishedUploads({ client, location, attempt }: S3Context, sdk: Sdk): NonNullable<Store['unfinished']> {
  const before = location.prefix === '' ? '' : `${location.prefix}/`;
  return {
    async *list({ signal }: ReadOptions = {}): AsyncGenerator<UnfinishedWrite, void, undefined> {
      let marker: Pick<ListMultipartUploadsCommandInput, 'KeyMarker' | 'UploadIdMarker'> | undefined = {};
      while (marker !== undefined) {
        const input: ListMultipartUploadsCommandInput = { Bucket: location.bucket, Prefix: before, ...marker };
        const fetchPage = async (): Promise<ListMultipartUploadsCommandOutput> => {
          const found = await client.send(new sdk.ListMultipartUploadsCommand(input));
          const { IsTruncated, NextKeyMarker, NextUploadIdMarker } = found;
          const goesNowhere = NextKeyMarker === input.KeyMarker && NextUploadIdMarker === input.UploadIdMarker;
          if (IsTruncated === true && (NextKeyMarker === undefined || goesNowhere)) throw new CutListing();
          return found;
        };
        const page = await attempt('ListMultipartUploads', location.bucket, fetchPage, signal);
        for (const { Key = '', UploadId, Initiated } of page.Uploads ?? []) {
          const path = Key.slice(before.length);
          if (UploadId !== undefined && Initiated !== undefined && isStorePath(path)) yield { path, id: UploadId, begun: Initiated };
        }
        marker = page.IsTruncated === true ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker } : undefined;
      }
    },

    async remove({ path, id }) {
      const command = new sdk.AbortMultipartUploadCommand({ ...nameObject(location, path), UploadId: id });
      try {
        await attempt('AbortMultipartUpload', path, async () => client.send(command));
      } catch (error) {
        if (!isUploadGone(error)) throw error;
      }
    },
  };
}
