/** Every command, in the order of `gantry --help`. */
import type { CommandSpec } from '../program.ts';
import { bundle } from './bundle.ts';
import { cache } from './cache.ts';
import { ceremony } from './ceremony.ts';
import { clone } from './clone.ts';
import { completion } from './completion.ts';
import { delegation } from './delegation.ts';
import { demo } from './demo.ts';
import { doctor } from './doctor.ts';
import { download } from './download.ts';
import { explain } from './explain.ts';
import { gc } from './gc.ts';
import { draft } from './draft.ts';
import { image } from './image.ts';
import { importRepository } from './import.ts';
import { init } from './init.ts';
import { key } from './key.ts';
import { lint } from './lint.ts';
import { next } from './next.ts';
import { publish } from './publish.ts';
import { refresh } from './refresh.ts';
import { release } from './release.ts';
import { root } from './root.ts';
import { serve } from './serve.ts';
import { sign } from './sign.ts';
import { status } from './status.ts';
import { target } from './target.ts';
import { verify } from './verify.ts';
import { wave } from './wave.ts';

export const commands: readonly CommandSpec[] = [
  demo,
  init,
  key,
  root,
  ceremony,
  image,
  release,
  wave,
  target,
  delegation,
  draft,
  cache,
  sign,
  status,
  next,
  publish,
  refresh,
  gc,
  lint,
  doctor,
  explain,
  serve,
  verify,
  download,
  clone,
  importRepository,
  bundle,
  completion,
];
