/** A bar for every large file on its way up. */
import type { PlannedWrite } from '../../lib/publish/plan.ts';
import type { Context } from '../context.ts';
import type { Progress } from './progress.ts';

/** Metadata is too small for a bar. */
export const BAR_FROM_BYTES: number = 1 << 20;

export interface UploadProgress {
  at(write: PlannedWrite, bytes: number): void;
  done(write: PlannedWrite): void;
  fail(): void;
}

export function uploadProgress(context: Context): UploadProgress {
  const bars = new Map<string, Progress>();
  return {
    at(write, bytes) {
      if (write.lengthBytes < BAR_FROM_BYTES) return;
      const bar = bars.get(write.path) ?? context.progress({ label: `Uploading ${targetName(write)}`, totalBytes: write.lengthBytes });
      bars.set(write.path, bar);
      bar.at(bytes);
    },
    done(write) {
      bars.get(write.path)?.done();
      bars.delete(write.path);
    },
    fail() {
      for (const bar of bars.values()) bar.fail();
    },
  };
}

/** Without the folder and the digest in front of a target's name. */
function targetName({ path }: PlannedWrite): string {
  return path.replace(/^targets\/[0-9a-f]{64}\./u, '');
}
