/**
 * The models of tuf-js in linear time.
 *
 * tuf-js decides about trust (design D1), over classes that copy a map whole for every entry that they add to it, reading and
 * writing: 34 s for 10,000 targets. An unsigned file is read before anybody looks at its signature, so this is not only slow for
 * large repositories, it is a door for an attacker: a root of half a megabyte with nothing but small keys costs minutes.
 *
 * What is replaced here, and nothing else: `fromJSON` and `toJSON` of the four classes that hold such maps.
 * - the class still reads everything but its large maps, which it is given empty; each entry is still read by its own class;
 *   the maps are then built at once. What is accepted, refused, found and signed is the same; a property compares them;
 * - tuf-js calls these functions by name on its classes, so ours stand there for as long as one synchronous call lasts. Nobody
 *   else can see that: other users of tuf-js in the same process keep the original.
 */
import { Key, MetaFile, Root, Snapshot, TargetFile, Targets } from '@tufjs/models';
import { Delegations } from '@tufjs/models/dist/delegations.js';
import { DelegatedRole, Role } from '@tufjs/models/dist/role.js';

type Json = Parameters<typeof Targets.fromJSON>[0];

interface Writes {
  toJSON(): Json;
}

/** Runs `work`, which must be synchronous, with models that read and write in linear time. */
export function withLinearModels<T>(work: () => T): T {
  const restore = [
    standIn(Targets, readTargets),
    standIn(Delegations, readDelegations),
    standIn(Snapshot, readSnapshot),
    standIn(Root, readRoot),
  ];
  try {
    return work();
  } finally {
    for (const undo of restore) undo();
  }
}

type Read<T> = (data: Json) => T;

/** @returns what puts the original back */
function standIn<T>(model: { fromJSON(data: Json): T }, read: (data: Json, original: Read<T>) => T): () => void {
  const method: unknown = Reflect.get(model, 'fromJSON');
  const original = model.fromJSON.bind(model);
  model.fromJSON = (data) => read(data, original);
  return () => {
    Reflect.set(model, 'fromJSON', method);
  };
}

function readTargets(data: Json, original: Read<Targets>): Targets {
  const files = entriesOf(data['targets']);
  const role = original({ ...data, ...emptyUnless(files, 'targets') });
  const targets = files === undefined ? role.targets : mapOf(files, (path, file) => TargetFile.fromJSON(path, file));
  return filled(role, { targets }, (json) => {
    json['targets'] = written(targets);
  });
}

function readDelegations(data: Json, original: Read<Delegations>): Delegations {
  const keyEntries = entriesOf(data['keys']);
  const { roles } = data;
  // What is no list of objects is for the original to refuse.
  const list = Array.isArray(roles) && roles.every(isObject) ? roles : undefined;
  const hollow = original({ ...data, ...emptyUnless(keyEntries, 'keys'), ...(list === undefined ? {} : { roles: [] }) });
  const keys = keyEntries === undefined ? hollow.keys : mapOf(keyEntries, (keyId, key) => Key.fromJSON(keyId, key));
  const whole = list === undefined ? hollow : withRoles(hollow, list);
  return filled(whole, { keys }, (json) => {
    json['keys'] = written(keys);
  });
}

function withRoles({ unrecognizedFields = {}, succinctRoles }: Delegations, list: readonly Json[]): Delegations {
  const read = list.map((role) => DelegatedRole.fromJSON(role));
  if (new Set(read.map(({ name }) => name)).size !== read.length) throw new TypeError('duplicate delegated role');
  const roles = Object.fromEntries(read.map((role) => [role.name, role]));
  // Through the constructor, because it refuses names.
  return new Delegations({ keys: {}, roles, unrecognizedFields, ...(succinctRoles === undefined ? {} : { succinctRoles }) });
}

function readSnapshot(data: Json, original: Read<Snapshot>): Snapshot {
  const files = entriesOf(data['meta']);
  const role = original({ ...data, ...emptyUnless(files, 'meta') });
  const meta = files === undefined ? role.meta : mapOf(files, (_, file) => MetaFile.fromJSON(file));
  return filled(role, { meta }, (json) => {
    json['meta'] = written(meta);
  });
}

const TOP_ROLES: ReadonlySet<string> = new Set(['root', 'timestamp', 'snapshot', 'targets']);

function readRoot(data: Json, original: Read<Root>): Root {
  const keyEntries = entriesOf(data['keys']);
  const roleEntries = entriesOf(data['roles']);
  // The roles that a root must have are for the original to miss.
  const top = roleEntries === undefined ? {} : { roles: Object.fromEntries(roleEntries.filter(([name]) => TOP_ROLES.has(name))) };
  const role = original({ ...data, ...emptyUnless(keyEntries, 'keys'), ...top });
  const keys = keyEntries === undefined ? role.keys : mapOf(keyEntries, (keyId, key) => Key.fromJSON(keyId, key));
  const roles = roleEntries === undefined ? role.roles : mapOf(roleEntries, (_, entry) => Role.fromJSON(entry));
  return filled(role, { keys, roles }, (json) => {
    json['keys'] = written(keys);
    json['roles'] = written(roles);
  });
}

type Entries = readonly (readonly [string, Json])[];

/** Undefined for what is no map of objects, as tuf-js asks: that is for the original to refuse. */
function entriesOf(value: Json[string] | undefined): Entries | undefined {
  if (!isObject(value)) return undefined;
  const entries = Object.entries(value);
  // `every` is the proof.
  return entries.every(([, item]) => isObject(item)) ? (entries as unknown as Entries) : undefined;
}

function emptyUnless(entries: Entries | undefined, member: string): Json {
  return entries === undefined ? {} : { [member]: {} };
}

function mapOf<T>(entries: Entries, read: (name: string, value: Json) => T): Record<string, T> {
  return Object.fromEntries(entries.map(([name, value]) => [name, read(name, value)]));
}

function written(map: Readonly<Record<string, Writes>>): Json {
  return Object.fromEntries(Object.entries(map).map(([name, value]) => [name, value.toJSON()]));
}

/** Gives an object its large maps, and a `toJSON` that leaves them to `write`. */
function filled<T extends Writes>(object: T, maps: Partial<T>, write: (json: Json) => void): T {
  const empty = Object.fromEntries(Object.keys(maps).map((name) => [name, {}]));
  // The original, on an object that looks like this one but for its large maps.
  const original = object.toJSON.bind(Object.assign(Object.create(object) as object, empty));
  const toJSON = (): Json => {
    const json = original();
    write(json);
    return json;
  };
  return Object.defineProperty(Object.assign(object, maps), 'toJSON', { value: toJSON, configurable: true });
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null;
}
