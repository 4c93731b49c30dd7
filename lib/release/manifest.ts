/**
 * `manifest.json`: which updates a repository offers, when, and which migrations lie between versions.
 *
 * Rules (Bottlerocket's `update_metadata`, so that stock hosts and ours read one file the same way):
 * - what is read is checked to the last member; a name that is there twice is refused at any depth;
 * - what is not known is kept: unknown members, the order of the updates, times as they were written;
 * - what is written has one form: fixed member order, two blanks of indent, no newline at the end.
 */
import { quote } from '../errors.ts';
import { parseVersion } from './names.ts';
import { badManifest, readJson, valueOf, type JsonMember, type JsonNode, type JsonPath } from './strict-json.ts';
import { parseWaveTime } from './wave-time.ts';

/** The target that hosts read what is offered from. */
export const MANIFEST_PATH = 'manifest.json';

/** Target names of a release's three partition images. */
export interface Images {
  readonly boot: string;
  readonly root: string;
  /** The dm-verity tree. */
  readonly hash: string;
}

/** What Gantry adds to an update and stock hosts ignore. */
export interface UpdateExtras {
  /** How much hosts need it. */
  readonly severity?: string;
  /** For people: one line or more. */
  readonly notes?: string;
  /** The schedule that was meant, where `waves` holds what makes stock hosts follow it. */
  readonly waves?: Update['waves'];
  /** Nobody new since `at`; `waves` is how the update's own waves stood before. */
  readonly paused?: { readonly at: string; readonly waves: Update['waves'] };
}

/** One release on offer, as it stands in the file; members that we do not know are there at run time. */
export interface Update {
  readonly variant: string;
  readonly arch: string;
  /** SemVer. */
  readonly version: string;
  /** SemVer: hosts above it are sent back, updates above it are hidden. */
  readonly max_version: string;
  /** By seed bound, in plain decimal: the time at which hosts up to the bound may update. Empty: everyone, now. */
  readonly waves: Readonly<Record<string, string>>;
  /** lz4 where stock hosts must read them. */
  readonly images: Images;
  /** The framed ones, when `images` names lz4 (an addition of ours that stock hosts ignore). */
  readonly images_zstd?: Images;
  readonly gantry?: UpdateExtras;
}

/** `manifest.json`: the updates that hosts are offered, and the migrations between their versions. */
export interface Manifest {
  /** In the order in which they were added. */
  readonly updates: readonly Update[];
  /** By `(FROM, TO)`: the targets to run, in this order, when going forward. */
  readonly migrations: Readonly<Record<string, readonly string[]>>;
}

type Reader<T> = (node: JsonNode, path: JsonPath) => T;

/** Thousands of releases with a hundred waves each; what is larger is no list of releases. */
const MANIFEST_MAX_BYTES = 16 << 20;

/** The manifest of a repository in which nothing was released yet. */
export function emptyManifest(): Manifest {
  return { updates: [], migrations: {} };
}

/**
 * Linear in the length of the file.
 *
 * @param bytes a whole `manifest.json`, at most 16 MiB
 * @throws GantryError `release/bad-manifest`, whose `at` names the line, the column and the member
 */
export function parseManifest(bytes: Uint8Array): Manifest {
  checkManifestLength(bytes.length);
  return readManifest(readJson(bytes), []);
}

/** Before it is read into memory. @throws GantryError `release/bad-manifest` */
export function checkManifestLength(lengthBytes: number): void {
  if (lengthBytes <= MANIFEST_MAX_BYTES) return;
  throw badManifest({ line: 1, column: 1 }, [], `it has ${lengthBytes} bytes; expected at most ${MANIFEST_MAX_BYTES}`);
}

/** The bytes that Bottlerocket's own tools would write, for what they know. @throws GantryError `release/bad-manifest` when it is too long to be read */
export function writeManifest(manifest: Manifest): Uint8Array {
  const ordered = inOrder(
    { ...manifest, updates: manifest.updates.map(orderedUpdate), migrations: sortedBy(manifest.migrations, byText) },
    MANIFEST_MEMBERS,
  );
  const bytes = new TextEncoder().encode(JSON.stringify(ordered, null, 2));
  checkManifestLength(bytes.length);
  return bytes;
}

const MANIFEST_MEMBERS = ['updates', 'migrations'];
const UPDATE_MEMBERS = ['variant', 'arch', 'version', 'max_version', 'waves', 'images', 'images_zstd', 'gantry'];
const IMAGES_MEMBERS = ['boot', 'root', 'hash'];
const EXTRAS_MEMBERS = ['severity', 'notes', 'waves', 'paused'];

function orderedUpdate(update: Update): object {
  const { waves, images, images_zstd, gantry } = update;
  return inOrder(
    {
      ...update,
      waves: orderedWaves(waves),
      images: inOrder(images, IMAGES_MEMBERS),
      ...(images_zstd === undefined ? {} : { images_zstd: inOrder(images_zstd, IMAGES_MEMBERS) }),
      ...(gantry === undefined ? {} : { gantry: orderedExtras(gantry) }),
    },
    UPDATE_MEMBERS,
  );
}

function orderedExtras(extras: UpdateExtras): object {
  const { waves, paused } = extras;
  return inOrder(
    {
      ...extras,
      ...(waves === undefined ? {} : { waves: orderedWaves(waves) }),
      ...(paused === undefined ? {} : { paused: inOrder({ ...paused, waves: orderedWaves(paused.waves) }, ['at', 'waves']) }),
    },
    EXTRAS_MEMBERS,
  );
}

function orderedWaves(waves: Update['waves']): object {
  return sortedBy(waves, (a, b) => Number(a) - Number(b));
}

/** Known members first, then the others as they came. */
function inOrder(value: object, known: readonly string[]): object {
  const rank = (name: string): number => (known.includes(name) ? known.indexOf(name) : known.length);
  return sortedBy(value, (a, b) => rank(a) - rank(b));
}

function sortedBy(value: object, compare: (a: string, b: string) => number): object {
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => compare(a, b)));
}

function byText(a: string, b: string): number {
  return a < b ? -1 : 1;
}

const readText: Reader<string> = (node, path) => {
  if (node.kind !== 'string') throw badManifest(node.place, path, `it is ${described(node)}; expected text`);
  if (!node.text.isWellFormed()) throw badManifest(node.place, path, 'it has half a surrogate pair; expected Unicode text');
  return node.text;
};

const readVersion: Reader<string> = (node, path) => {
  const text = readText(node, path);
  try {
    return parseVersion(text);
  } catch (cause) {
    throw badManifest(node.place, path, `it is ${quote(text)}; expected SemVer, for example "1.2.0"`, cause);
  }
};

const readTime: Reader<string> = (node, path) => {
  const text = readText(node, path);
  if (parseWaveTime(text) !== undefined) return text;
  throw badManifest(node.place, path, 'it is not a time; expected for example "2026-01-31T12:00:00Z"');
};

const readImages = structReader<Images>({ boot: readText, root: readText, hash: readText });

const readWaves: Reader<Update['waves']> = (node, path) => {
  const waves = new Map<string, string>();
  for (const { name, place, value } of membersOf(node, path)) {
    // As Rust reads an unsigned 32-bit integer.
    const bound = /^\+?\d+$/u.test(name) ? Number(name) : Number.NaN;
    if (!(bound < 2 ** 32)) throw badManifest(place, [...path, name], 'it is no seed bound; expected a whole number below 2^32');
    if (waves.has(String(bound))) throw badManifest(place, [...path, name], `the bound ${bound} is there a second time; expected it once`);
    waves.set(String(bound), readTime(value, [...path, name]));
  }
  return Object.fromEntries(waves);
};

const readUpdate = structReader<Update>(
  {
    variant: readText,
    arch: readText,
    version: readVersion,
    max_version: readVersion,
    waves: readWaves,
    images: readImages,
    images_zstd: readImages,
    gantry: structReader<UpdateExtras>(
      {
        severity: readText,
        notes: readText,
        waves: readWaves,
        paused: structReader<NonNullable<UpdateExtras['paused']>>({ at: readTime, waves: readWaves }),
      },
      ['severity', 'notes', 'waves', 'paused'],
    ),
  },
  ['images_zstd', 'gantry'],
);

const readUpdates: Reader<Manifest['updates']> = (node, path) =>
  itemsOf(node, path).map((item, index) => readUpdate(item, [...path, index]));

// Unanchored, as hosts read it: text around the brackets is tolerated. Of several brackets in one word the first one counts, so the
// search may begin with the word: it looks at none twice.
const MIGRATION_KEY = /(?:^|[ ,])[^ ,(]*\(([^ ,]+), *([^ ,]+)\)/u;
/** Two versions and more. */
const MIGRATION_KEY_MAX_LENGTH = 1024;

const readMigrations: Reader<Manifest['migrations']> = (node, path) => {
  const migrations = new Map<string, readonly string[]>();
  for (const { name, place, value } of membersOf(node, path)) {
    const key = migrationKey(name);
    if (key === undefined) throw badManifest(place, [...path, name], 'it is no pair of versions; expected "(FROM, TO)", both SemVer');
    if (migrations.has(key)) throw badManifest(place, [...path, name], `the pair ${key} is there a second time; expected it once`);
    migrations.set(
      key,
      itemsOf(value, [...path, name]).map((item, index) => readText(item, [...path, name, index])),
    );
  }
  return Object.fromEntries(migrations);
};

/** `(FROM, TO)` as it is written, or undefined when the text is no pair of versions. */
export function migrationKey(text: string): string | undefined {
  const [, from, to] = (text.length <= MIGRATION_KEY_MAX_LENGTH ? MIGRATION_KEY.exec(text) : null) ?? [];
  if (from === undefined || to === undefined) return undefined;
  try {
    return `(${parseVersion(from)}, ${parseVersion(to)})`;
  } catch {
    return undefined;
  }
}

const readManifest = structReader<Manifest>({ updates: readUpdates, migrations: readMigrations });

/** Reads an object of known members and keeps the unknown ones. */
function structReader<T extends object>(
  readers: { readonly [M in keyof T & string]-?: Reader<unknown> },
  optional: readonly (keyof T & string)[] = [],
): Reader<T> {
  const known = new Map<string, Reader<unknown>>(Object.entries<Reader<unknown>>(readers));
  const required = [...known.keys()].filter((name) => !(optional as readonly string[]).includes(name));
  return (node, path) => {
    const members = membersOf(node, path);
    const present = new Set(members.map(({ name }) => name));
    const missing = required.find((name) => !present.has(name));
    if (missing !== undefined) throw badManifest(node.place, [...path, missing], 'it is missing; expected it in every manifest');
    const read = ({ name, value }: JsonMember): unknown => {
      const reader = known.get(name);
      return reader === undefined ? valueOf(value) : reader(value, [...path, name]);
    };
    // Every member of T was read by its own reader, or is optional and absent.
    return Object.fromEntries(members.map((member) => [member.name, read(member)])) as T;
  };
}

function membersOf(node: JsonNode, path: JsonPath): readonly JsonMember[] {
  if (node.kind !== 'object') throw badManifest(node.place, path, `it is ${described(node)}; expected an object`);
  return [...node.members.values()];
}

function itemsOf(node: JsonNode, path: JsonPath): readonly JsonNode[] {
  if (node.kind !== 'array') throw badManifest(node.place, path, `it is ${described(node)}; expected an array`);
  return node.items;
}

function described(node: JsonNode): string {
  switch (node.kind) {
    case 'object':
      return 'an object';
    case 'array':
      return 'an array';
    case 'string':
      return 'text';
    case 'number':
      return 'a number';
    case 'other':
      return String(node.value);
  }
}
