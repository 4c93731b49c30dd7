/**
 * A store behind a program of the operator's own, for hosting that wants its own upload tool (docs/hosting.md has the contract).
 *
 * ```
 * PROGRAM head PATH     one line of JSON: {"version": "…", "length": 123}, and "sha256", "modified" where they are known
 * PROGRAM read PATH     the bytes on stdout
 * PROGRAM write PATH    the bytes on stdin; what is expected, and the headers, in GANTRY_… variables
 * PROGRAM list PREFIX   such a line for each object, with its "path"
 * PROGRAM remove PATH
 * ```
 *
 * Rules:
 * - exit code 0 is done, 10 missing, 11 "found something else than expected", 12 denied; all else is a failure;
 * - no shell, and no passphrase in its environment;
 * - stdin ends when the bytes are whole: a source that turns out wrong has the program killed before.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { GantryError, isGantryError, quote, refuseAborted } from '../errors.ts';
import { cacheControlOf } from './cache-control.ts';
import { runProgram, type CommandSettings, type Verb } from './command-run.ts';
import { isStorePath } from './path.ts';
import { failed, missing, refuseMoreBytes, refuseOtherBytes } from './refusals.ts';
import type { ByteSource, Expect, ObjectInfo, ReadOptions, Store, StorePath, StoreVersion, WriteOptions } from './store.ts';

export type { CommandSettings } from './command-run.ts';

const MAX_LINE_BYTES = 16_384;

const infoSchema = z.object({
  version: z.string().min(1).max(1024),
  length: z.int().min(0),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/u)
    .optional(),
  modified: z.iso.datetime({ offset: true }).optional(),
});
const listedSchema = infoSchema.extend({ path: z.string() });

/** Nothing runs before the first call. */
export function createCommandStore(settings: CommandSettings): Store {
  const head = async (path: StorePath, { signal }: ReadOptions = {}): Promise<ObjectInfo | undefined> => {
    try {
      const lines: string[] = [];
      // How it ends counts more than what it wrote.
      for await (const line of linesOf(runProgram(settings, 'head', path, { signal }), 'head', path)) lines.push(line);
      return infoOf(path, parse(infoSchema, lines[0] ?? '', 'head', path));
    } catch (error) {
      if (isGantryError(error, 'store/missing')) return undefined;
      throw error;
    }
  };
  return {
    description: `program ${settings.program.join(' ')}`,
    conditions: 'unknown',
    head,

    async read(path, options) {
      const info = await head(path, options);
      if (info === undefined) throw missing(path, 'read');
      return { info, body: runProgram(settings, 'read', path, options) };
    },

    async write(path, source, options): Promise<StoreVersion> {
      await writeWith(settings, path, source, options);
      const info = await head(path, options);
      if (info === undefined) throw failed(path, 'write', 'it vanished right after it was written');
      return info.version;
    },

    async *list(prefix, { signal } = {}) {
      for await (const line of linesOf(runProgram(settings, 'list', prefix, { signal }), 'list', prefix)) {
        const { path, ...info } = parse(listedSchema, line, 'list', prefix);
        if (isStorePath(path) && path.startsWith(prefix)) yield infoOf(path, info);
      }
    },

    async remove(path) {
      await drain(runProgram(settings, 'remove', path));
    },
  };
}

async function writeWith(
  settings: CommandSettings,
  path: StorePath,
  source: ByteSource,
  options: WriteOptions & { readonly expect: Expect },
): Promise<void> {
  const wrong = new AbortController();
  let refusal: { readonly error: unknown } | undefined;
  const input = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* checked(path, source, options);
    } catch (error) {
      refusal = { error };
      wrong.abort();
      throw error;
    }
  };
  const signal = options.signal === undefined ? wrong.signal : AbortSignal.any([options.signal, wrong.signal]);
  try {
    await drain(runProgram(settings, 'write', path, { signal, input: input(), variables: variablesOf(source, options) }));
  } catch (error) {
    throw refusal === undefined ? error : refusal.error;
  }
}

/** Counted and hashed to the end, before the end is shown. */
async function* checked(
  path: StorePath,
  source: ByteSource,
  { signal, onProgress }: WriteOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = createHash('sha256');
  let length = 0;
  for await (const chunk of source.open()) {
    refuseAborted(signal);
    hash.update(chunk);
    length += chunk.length;
    refuseMoreBytes(path, source, length);
    // The pipe reads ahead, and the source may use the chunk's memory again.
    yield Buffer.from(chunk);
    onProgress?.(length);
  }
  refuseOtherBytes(path, source, length, hash.digest('hex'));
}

function variablesOf(
  source: ByteSource,
  { expect, cacheClass, contentType }: WriteOptions & { readonly expect: Expect },
): Readonly<Record<string, string>> {
  return {
    GANTRY_EXPECT: expect === 'absent' ? 'absent' : expect.version,
    GANTRY_LENGTH: String(source.lengthBytes),
    GANTRY_SHA256: source.sha256,
    GANTRY_CACHE_CONTROL: cacheControlOf(cacheClass),
    GANTRY_CONTENT_TYPE: contentType,
  };
}

async function drain(output: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of output) {
    // Only its end counts.
  }
}

async function* linesOf(output: AsyncIterable<Uint8Array>, verb: Verb, path: string): AsyncGenerator<string, void, undefined> {
  let rest = Buffer.alloc(0);
  for await (const chunk of output) {
    rest = Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
      const line = rest.subarray(0, end).toString('utf8').trim();
      rest = rest.subarray(end + 1);
      if (line !== '') yield line;
    }
    if (rest.length > MAX_LINE_BYTES) throw failed(path, verb, `the program wrote a line of more than ${MAX_LINE_BYTES} bytes`);
  }
  const last = rest.toString('utf8').trim();
  if (last !== '') yield last;
}

function parse<T>(schema: z.ZodType<T>, line: string, verb: Verb, path: string): T {
  try {
    return schema.parse(JSON.parse(line));
  } catch (cause) {
    const what = `Cannot ${verb} ${quote(path)}: the program wrote ${quote(line)}; expected a line such as {"version": "7", "length": 123}`;
    throw new GantryError('store/failed', what, { path, call: verb }, { cause });
  }
}

function infoOf(path: StorePath, { version, length, sha256, modified }: z.infer<typeof infoSchema>): ObjectInfo {
  return {
    path,
    lengthBytes: length,
    // The program's own, and opaque.
    version: version as StoreVersion,
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(modified === undefined ? {} : { modified: new Date(modified) }),
  };
}
