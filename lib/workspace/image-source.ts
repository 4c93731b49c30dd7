/** Where a partition image is: a file of its own, or a part of a disk image. */
import { quote } from '../errors.ts';
import type { FileSlice } from '../files/read.ts';

export interface DiskSlice extends FileSlice {
  /** What it is called there: `partition 4`. */
  readonly part: string;
}

export type ImageSource = string | DiskSlice;

/** For errors: `"root.img"`, `partition 4 of "disk.img"`. */
export function sourceName(source: ImageSource): string {
  return typeof source === 'string' ? quote(source) : `${source.part} of ${quote(source.path)}`;
}

export function sourcePath(source: ImageSource): string {
  return typeof source === 'string' ? source : source.path;
}
