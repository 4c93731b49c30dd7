/**
 * TOML that knows where everything stands, so that whoever gives a value its meaning can say in which line it is wrong.
 */
import { getStaticTOMLValue, ParseError, parseTOML, type AST } from 'toml-eslint-parser';
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

/**
 * @param text a whole TOML 1.0 document
 * @param path its file, for messages
 * @throws GantryError `release/bad-toml` with the line and column
 */
export function parseToml(text: string, path: string): TomlDocument {
  const program = parseProgram(text, path);
  const places = new Map<string, TextPlace>();
  const [top] = program.body;
  for (const node of top.body) {
    if (node.type === 'TOMLKeyValue') note(node, [], places);
    else noteTable(node, places);
  }
  return {
    table: getStaticTOMLValue(program),
    placeOf(wanted) {
      for (let length = wanted.length; length > 0; length -= 1) {
        const place = places.get(keyOf(wanted.slice(0, length)));
        if (place !== undefined) return place;
      }
      return { line: 1, column: 1 };
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
    const problem = isSyntax ? cause.message.replace(/^./u, (first) => first.toLowerCase()) : 'it cannot be parsed';
    throw new GantryError('release/bad-toml', `Cannot read ${quote(path)}: ${at}: ${problem}; expected TOML`, { path, at }, { cause });
  }
}

/** The parser notices what is missing only at whatever comes after it. */
function placeOfError(text: string, { index, message }: ParseError): TextPlace {
  const before = text.slice(0, index);
  const lines = (/^Un(?:specified|terminated)/u.test(message) ? before.trimEnd() : before).split('\n');
  return { line: lines.length, column: (lines.at(-1) ?? '').length + 1 };
}

function noteTable(table: AST.TOMLTable, places: Map<string, TextPlace>): void {
  places.set(keyOf(table.resolvedKey), placeOfNode(table));
  for (const node of table.body) note(node, table.resolvedKey, places);
}

function note({ key, value }: AST.TOMLKeyValue, around: TomlPath, places: Map<string, TextPlace>): void {
  const path = [...around, ...key.keys.map((part) => (part.type === 'TOMLBare' ? part.name : part.value))];
  noteValue(value, path, places);
}

function noteValue(value: AST.TOMLContentNode, path: TomlPath, places: Map<string, TextPlace>): void {
  places.set(keyOf(path), placeOfNode(value));
  if (value.type === 'TOMLArray') {
    for (const [index, element] of value.elements.entries()) noteValue(element, [...path, index], places);
  } else if (value.type === 'TOMLInlineTable') {
    for (const node of value.body) note(node, path, places);
  }
}

function placeOfNode({ loc }: AST.TOMLNode): TextPlace {
  return { line: loc.start.line, column: loc.start.column + 1 };
}

function keyOf(path: TomlPath): string {
  return JSON.stringify(path);
}
