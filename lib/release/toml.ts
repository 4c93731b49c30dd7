/**
 * TOML that knows where everything stands, so that whoever gives a value its meaning can say in which line it is wrong.
 *
 * Rules:
 * - a key is only a name: `__proto__` is a member like any other, in no table more than its own;
 * - bounded depth, whether by brackets or by dots.
 */
import { ParseError, parseTOML, type AST } from 'toml-eslint-parser';
import { GantryError, quote } from '../errors.ts';

/** Both count from 1. */
export interface TextPlace {
  readonly line: number;
  readonly column: number;
}

export type TomlPath = readonly (string | number)[];

export interface TomlDocument {
  readonly table: Readonly<Record<string, unknown>>;
  /** Where the value at this path stands; the nearest table around it when there is no such value. */
  placeOf(path: TomlPath): TextPlace;
}

const MAX_DEPTH = 64;

/**
 * @param text a whole TOML 1.0 document; a byte order mark before it is passed over, as stock tools do
 * @param path its file, for messages
 * @throws GantryError `release/bad-toml` with the line and column
 */
export function parseToml(text: string, path: string): TomlDocument {
  const [top] = parseProgram(text.replace(/^\ufeff/u, ''), path).body;
  const root = newEntry({ line: 1, column: 1 });
  const refuse = (node: AST.TOMLNode): GantryError =>
    badToml(path, placeText(placeOfNode(node)), `it is nested deeper than ${MAX_DEPTH} levels; expected fewer`);
  for (const node of top.body) addNode(node, root, refuse);
  return {
    // The top of a document is a table.
    table: valueOf(root) as Readonly<Record<string, unknown>>,
    placeOf(wanted) {
      let { place, below } = root;
      for (const step of wanted) {
        const next = below.get(step);
        if (next === undefined) break;
        ({ place, below } = next);
      }
      return place;
    },
  };
}

/** `line 3, column 15` */
export function placeText({ line, column }: TextPlace): string {
  return `line ${line}, column ${column}`;
}

function parseProgram(text: string, path: string): AST.TOMLProgram {
  try {
    return parseTOML(text, { tomlVersion: '1.0' });
  } catch (cause) {
    // Brackets nested beyond every purpose exhaust the parser's stack.
    const isSyntax = cause instanceof ParseError;
    const at = isSyntax ? placeText(placeOfError(text, cause)) : 'the file';
    const problem = isSyntax ? problemOf(cause) : 'it cannot be parsed';
    throw badToml(path, at, `${problem}; expected TOML`, cause);
  }
}

function problemOf({ message }: ParseError): string {
  if (message.startsWith(SPLIT_LINE)) return 'this line ends too early: it lacks a bracket, or an equals sign and a value';
  return message.replace(/^./u, (first) => first.toLowerCase());
}

/** What the parser says when a line ends too early: also of `[[waves]`, which it takes for the beginning of a key. */
const SPLIT_LINE = 'The key, equals sign, and value must be on the same line';

/** The parser notices what is missing only at whatever comes after it. */
function placeOfError(text: string, { index, message }: ParseError): TextPlace {
  const before = text.slice(0, index);
  const trimmed = before.trimEnd();
  const isSplit = message.startsWith(SPLIT_LINE);
  // Comments between what is missing and what comes after it are neither.
  if (isSplit) return placeAtEnd(before.replace(/(?:\s*\n[\t ]*(?:#[^\n]*)?)+$/u, ''));
  const isMissing = /^Un(?:specified|terminated)/u.test(message) || (trimmed.endsWith('=') && before.includes('\n', trimmed.length));
  return placeAtEnd(isMissing ? trimmed : before);
}

function placeAtEnd(text: string): TextPlace {
  const lines = text.split('\n');
  return { line: lines.length, column: (lines.at(-1) ?? '').length + 1 };
}

/** What stands at one path. */
interface Entry {
  place: TextPlace;
  /** Of tables and lists; the steps of a list are numbers. */
  readonly below: Map<string | number, Entry>;
  readonly content: { readonly kind: 'table' | 'list' } | { readonly kind: 'value'; readonly value: unknown };
}

type Refuse = (node: AST.TOMLNode) => GantryError;

function newEntry(place: TextPlace, content: Entry['content'] = { kind: 'table' }): Entry {
  return { place, below: new Map(), content };
}

function addNode(node: AST.TOMLKeyValue | AST.TOMLTable, root: Entry, refuse: Refuse): void {
  if (node.type === 'TOMLKeyValue') {
    addKeyValue(node, root, 0, refuse);
    return;
  }
  const depth = node.resolvedKey.length;
  if (depth > MAX_DEPTH) throw refuse(node);
  const table = entryAt(root, node.resolvedKey, placeOfNode(node));
  table.place = placeOfNode(node);
  for (const member of node.body) addKeyValue(member, table, depth, refuse);
}

function addKeyValue({ key, value }: AST.TOMLKeyValue, around: Entry, depth: number, refuse: Refuse): void {
  if (depth + key.keys.length > MAX_DEPTH) throw refuse(value);
  const steps = key.keys.map((part) => (part.type === 'TOMLBare' ? part.name : part.value));
  const last = steps.pop() ?? '';
  entryAt(around, steps, placeOfNode(key)).below.set(last, entryOf(value, depth + key.keys.length, refuse));
}

function entryOf(node: AST.TOMLContentNode, depth: number, refuse: Refuse): Entry {
  if (node.type === 'TOMLValue') return newEntry(placeOfNode(node), { kind: 'value', value: node.value });
  if (depth >= MAX_DEPTH) throw refuse(node);
  const entry = newEntry(placeOfNode(node), { kind: node.type === 'TOMLArray' ? 'list' : 'table' });
  if (node.type === 'TOMLInlineTable') {
    for (const member of node.body) addKeyValue(member, entry, depth, refuse);
  } else {
    for (const [index, element] of node.elements.entries()) entry.below.set(index, entryOf(element, depth + 1, refuse));
  }
  return entry;
}

/** The table at this path; what is not there yet is begun here. */
function entryAt(from: Entry, path: TomlPath, place: TextPlace): Entry {
  let entry = from;
  for (const [index, step] of path.entries()) {
    const next = entry.below.get(step) ?? newEntry(place, { kind: typeof path[index + 1] === 'number' ? 'list' : 'table' });
    entry.below.set(step, next);
    entry = next;
  }
  return entry;
}

function valueOf({ content, below }: Entry): unknown {
  if (content.kind === 'value') return content.value;
  if (content.kind === 'list') return Array.from(below.values(), valueOf);
  return Object.fromEntries(Array.from(below, ([name, entry]) => [name, valueOf(entry)]));
}

function placeOfNode({ loc }: AST.TOMLNode): TextPlace {
  return { line: loc.start.line, column: loc.start.column + 1 };
}

function badToml(path: string, at: string, problem: string, cause?: unknown): GantryError {
  return new GantryError('release/bad-toml', `Cannot read ${quote(path)}: ${at}: ${problem}`, { path, at }, { cause });
}
