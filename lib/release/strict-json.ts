/**
 * A JSON reader for files that other implementations must read the same way.
 *
 * Rules:
 * - exactly RFC 8259 in UTF-8: no comments, no trailing commas, no byte order mark;
 * - a member that is there twice is refused: `JSON.parse` keeps the last one silently, others keep the first;
 * - every node knows its line and column, so that whoever gives it a meaning can say where it is wrong;
 * - nothing is lost: a number that JavaScript would change keeps its text;
 * - linear time, bounded depth.
 */
import { printParseErrorCode, visit, type JSONVisitor, type ParseErrorCode } from 'jsonc-parser';
import { GantryError, quote } from '../errors.ts';

/** Both count from 1; columns are UTF-16 code units. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** Names and indexes, from the top of the document down. */
export type JsonPath = readonly (string | number)[];

export interface JsonMember {
  readonly name: string;
  /** Where the name stands. */
  readonly place: Place;
  readonly value: JsonNode;
}

export type JsonNode = { readonly place: Place } & (
  | { readonly kind: 'object'; readonly members: ReadonlyMap<string, JsonMember> }
  | { readonly kind: 'array'; readonly items: readonly JsonNode[] }
  | { readonly kind: 'string'; readonly text: string }
  | { readonly kind: 'number'; readonly text: string }
  | { readonly kind: 'other'; readonly value: boolean | null }
);

/** serde_json, which stock hosts read with, gives up at 128 levels. */
const MAX_DEPTH = 127;

/**
 * @param bytes a whole document
 * @throws GantryError `release/bad-manifest`
 */
export function readJson(bytes: Uint8Array): JsonNode {
  const text = decodeUtf8(bytes);
  const builder = new TreeBuilder(text);
  visit(text, builder, { disallowComments: true, allowTrailingComma: false });
  return builder.finish();
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    const { place, byte } = firstBadByte(bytes);
    throw badManifest(place, [], `the byte 0x${byte.toString(16).padStart(2, '0')} is not UTF-8; expected JSON text`, cause);
  }
}

const REPLACEMENT = '\uFFFD';

/** A lossy decoder puts U+FFFD where bytes are bad; where the bytes have one themselves, it is none of those. */
function firstBadByte(bytes: Uint8Array): { readonly place: Place; readonly byte: number } {
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
  const genuine = Buffer.from(REPLACEMENT);
  let offset = 0;
  let from = 0;
  for (let at = text.indexOf(REPLACEMENT); at !== -1; at = text.indexOf(REPLACEMENT, from)) {
    offset += Buffer.byteLength(text.slice(from, at));
    if (Buffer.compare(bytes.subarray(offset, offset + genuine.length), genuine) !== 0) {
      const lines = text.slice(0, at).split(/\r\n|\r|\n/u);
      return { place: { line: lines.length, column: (lines.at(-1) ?? '').length + 1 }, byte: bytes[offset] ?? 0 };
    }
    offset += genuine.length;
    from = at + 1;
  }
  throw new RangeError('the bytes are UTF-8');
}

interface OpenObject {
  readonly members: Map<string, JsonMember>;
  /** The member whose value comes next. */
  pending: { readonly name: string; readonly place: Place };
}

type Open = { readonly object: OpenObject } | { readonly items: JsonNode[] };

/** What the visitor calls, in the order of the text. */
class TreeBuilder implements JSONVisitor {
  readonly #text: string;
  readonly #open: Open[] = [];
  #root: JsonNode | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  readonly onObjectBegin = (...[, , line, column, path]: BeginArguments): void => {
    const place = placeOf(line, column);
    const members = new Map<string, JsonMember>();
    this.#add({ kind: 'object', members, place });
    this.#enter({ object: { members, pending: { name: '', place } } }, place, path);
  };

  readonly onArrayBegin = (...[, , line, column, path]: BeginArguments): void => {
    const place = placeOf(line, column);
    const items: JsonNode[] = [];
    this.#add({ kind: 'array', items, place });
    this.#enter({ items }, place, path);
  };

  readonly onObjectEnd = (): void => {
    this.#open.pop();
  };

  readonly onArrayEnd = (): void => {
    this.#open.pop();
  };

  readonly onObjectProperty = (name: string, ...[, , line, column, path]: BeginArguments): void => {
    const place = placeOf(line, column);
    const top = this.#open.at(-1);
    if (top === undefined || !('object' in top)) return;
    if (top.object.members.has(name)) {
      throw badManifest(place, [...path(), name], 'the member is there a second time; expected it once');
    }
    top.object.pending = { name, place };
  };

  readonly onLiteralValue = (value: string | number | boolean | null, ...rest: BeginArguments): void => {
    const [offset, length, line, column] = rest;
    const place = placeOf(line, column);
    if (typeof value === 'string') this.#add({ kind: 'string', text: value, place });
    else if (typeof value === 'number') this.#add({ kind: 'number', text: this.#text.slice(offset, offset + length), place });
    else this.#add({ kind: 'other', value, place });
  };

  readonly onError = (error: ParseErrorCode, ...[, , line, column]: [number, number, number, number]): void => {
    const problem = printParseErrorCode(error)
      .replace(/(?<=[a-z])(?=[A-Z])/gu, ' ')
      .toLowerCase();
    throw badManifest(placeOf(line, column), [], `it is not JSON (${problem}); expected one JSON object and nothing else`);
  };

  finish(): JsonNode {
    if (this.#root === undefined) throw badManifest({ line: 1, column: 1 }, [], 'it is empty; expected a JSON object');
    return this.#root;
  }

  #add(node: JsonNode): void {
    const top = this.#open.at(-1);
    if (top === undefined) this.#root = node;
    else if ('items' in top) top.items.push(node);
    else top.object.members.set(top.object.pending.name, { ...top.object.pending, value: node });
  }

  #enter(open: Open, place: Place, path: () => (string | number)[]): void {
    if (this.#open.length === MAX_DEPTH) {
      throw badManifest(place, path().slice(0, 3), `it is nested deeper than ${MAX_DEPTH} levels; expected a manifest`);
    }
    this.#open.push(open);
  }
}

type BeginArguments = [offset: number, length: number, line: number, column: number, path: () => (string | number)[]];

function placeOf(line: number, column: number): Place {
  return { line: line + 1, column: column + 1 };
}

/** What `JSON.parse` gives, except that a number keeps its text where JavaScript would write it differently. */
export function valueOf(node: JsonNode): unknown {
  switch (node.kind) {
    case 'object':
      return Object.fromEntries(Array.from(node.members.values(), ({ name, value }) => [name, valueOf(value)]));
    case 'array':
      return node.items.map(valueOf);
    case 'string':
      return node.text;
    case 'number':
      return String(Number(node.text)) === node.text ? Number(node.text) : rawJson(node.text);
    case 'other':
      return node.value;
  }
}

/** `JSON.stringify` writes the text as it is. In every Node that we run on; not yet in TypeScript's libraries. */
function rawJson(text: string): unknown {
  return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(text);
}

/** `release/bad-manifest` with the line, the column and the member. */
export function badManifest(place: Place, path: JsonPath, problem: string, cause?: unknown): GantryError {
  const member = memberPath(path);
  const at = `line ${place.line}, column ${place.column}${member === '' ? '' : ` (${member})`}`;
  return new GantryError('release/bad-manifest', `Cannot read the manifest: ${at}: ${problem}`, { at }, { cause });
}

function memberPath(path: JsonPath): string {
  return path.map(memberStep).join('').replace(/^\./u, '');
}

function memberStep(step: string | number): string {
  if (typeof step === 'number') return `[${step}]`;
  return /^[A-Za-z_][A-Za-z0-9_]*$/u.test(step) && step.length <= 64 ? `.${step}` : `[${quote(step)}]`;
}
