/**
 * What Gantry adds to an image's entry in the targets role: `custom.gantry`.
 *
 * ```json
 * { "gantry": { "format": "zstd-frames", "frames": "NAME.frames", "raw": { "length": 123, "sha256": "…" } } }
 * { "gantry": { "format": "lz4", "raw": { "length": 123, "sha256": "…" } } }
 * ```
 *
 * `raw` is the image after decompression; `frames` names the target that holds the encoded frame table.
 */
import { GantryError, quote } from '../errors.ts';
import { parseSha256Hex } from '../tuf/hash.ts';
import { TargetPath } from '../tuf/target-path.ts';
import type { JsonObject, JsonValue, Sha256Hex } from '../tuf/types.ts';

/** An image before compression. */
export interface RawImage {
  readonly lengthBytes: number;
  readonly sha256: Sha256Hex;
}

export type ImageCustom =
  | { readonly format: 'zstd-frames'; readonly frames: string; readonly raw: RawImage }
  | { readonly format: 'lz4'; readonly raw: RawImage };

/** The `custom` member of an image target. */
export function imageCustom(image: ImageCustom): JsonObject {
  const raw = { length: image.raw.lengthBytes, sha256: image.raw.sha256 };
  return {
    gantry: image.format === 'lz4' ? { format: image.format, raw } : { format: image.format, frames: image.frames, raw },
  };
}

/**
 * Undefined when the target is not an image of ours; members that we do not know are ignored.
 *
 * @param custom the target's `custom`
 * @throws GantryError `release/bad-custom`
 */
export function readImageCustom(custom: JsonObject | undefined): ImageCustom | undefined {
  const gantry = memberOf(custom, 'gantry');
  if (gantry === undefined) return undefined;
  const format = memberOf(gantry, 'format');
  if (format === 'lz4') return { format, raw: readRaw(memberOf(gantry, 'raw')) };
  if (format === 'zstd-frames') {
    return { format, frames: readFrames(memberOf(gantry, 'frames')), raw: readRaw(memberOf(gantry, 'raw')) };
  }
  throw badCustom('gantry.format', format, '"zstd-frames" or "lz4"; a newer Gantry may have written it');
}

function readRaw(raw: JsonValue | undefined): RawImage {
  const lengthBytes = memberOf(raw, 'length');
  if (typeof lengthBytes !== 'number' || !Number.isSafeInteger(lengthBytes) || lengthBytes < 0) {
    throw badCustom('gantry.raw.length', lengthBytes, 'a number of bytes');
  }
  const sha256 = memberOf(raw, 'sha256');
  try {
    return { lengthBytes, sha256: parseSha256Hex(typeof sha256 === 'string' ? sha256 : '') };
  } catch (cause) {
    throw badCustom('gantry.raw.sha256', sha256, '64 hexadecimal digits', cause);
  }
}

function readFrames(frames: JsonValue | undefined): string {
  try {
    return TargetPath.parse(typeof frames === 'string' ? frames : '').memberName();
  } catch (cause) {
    throw badCustom('gantry.frames', frames, 'the name of a target', cause);
  }
}

function memberOf(value: JsonValue | undefined, name: string): JsonValue | undefined {
  if (value === undefined || value === null || typeof value !== 'object' || !Object.hasOwn(value, name)) return undefined;
  // Proof: it is an object or an array, and an array has no member of these names.
  return (value as JsonObject)[name];
}

function badCustom(member: string, found: JsonValue | undefined, expected: string, cause?: unknown): GantryError {
  const at = `custom.${member}`;
  const is = found === undefined ? 'missing' : quote(JSON.stringify(found));
  return new GantryError('release/bad-custom', `Cannot read ${at} of an image: it is ${is}; expected ${expected}`, { at }, { cause });
}
