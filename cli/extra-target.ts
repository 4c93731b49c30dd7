/** Files on the command line that become targets. */
import type { ExtraTarget } from '../lib/workspace/prepare-targets.ts';
import type { Context } from './context.ts';
import { pathOf } from './options.ts';

/** `NAME=FILE`, or the name of the file itself. */
export function extraTarget(context: Context, text: string, mode: ExtraTarget['mode']): ExtraTarget {
  const [, name, file] = /^([^=]+)=(.+)$/u.exec(text) ?? [];
  const path = pathOf(context, file ?? text);
  return { name: name ?? path.slice(path.lastIndexOf('/') + 1), file: path, mode };
}
