/** Our models of tuf-js against its own: the same acceptances, refusals, look-ups and signed bytes, in linear time. */
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { canonicalize } from '@tufjs/canonical-json';
import { Metadata, MetadataKind, Targets } from '@tufjs/models';
import fc from 'fast-check';
import { withLinearModels } from '../../lib/client/linear-models.ts';
import { FIXTURES } from '../support/fixtures.ts';

const KINDS = [MetadataKind.Root, MetadataKind.Timestamp, MetadataKind.Snapshot, MetadataKind.Targets] as const;
type Kind = (typeof KINDS)[number];
type Read = { readonly signed: Metadata<Targets>['signed'] } | 'refused';

function read(kind: Kind, text: string): Read {
  try {
    // The overloads want one kind each; every kind has the members that are looked at here.
    return {
      signed: (Metadata as unknown as { fromJSON(type: Kind, data: unknown): Metadata<Targets> }).fromJSON(kind, JSON.parse(text)).signed,
    };
  } catch {
    return 'refused';
  }
}

/** @returns whether both accepted it */
function assertAlike(kind: Kind, text: string): boolean {
  const original = read(kind, text);
  const linear = withLinearModels(() => read(kind, text));
  if (original === 'refused' || linear === 'refused') {
    assert.equal(linear, original, text);
    return false;
  }
  assert.ok(isDeepStrictEqual(linear.signed, original.signed), text);
  const [mine, theirs] = [linear.signed.toJSON(), original.signed.toJSON()];
  assert.deepEqual(mine, theirs);
  assert.equal(canonicalOf(mine), canonicalOf(theirs));
  for (const path of PATHS) {
    assert.deepEqual(linear.signed.targets?.[path], original.signed.targets?.[path]);
    assert.deepEqual(rolesFor(linear.signed, path), rolesFor(original.signed, path));
  }
  return true;
}

function canonicalOf(value: unknown): string {
  try {
    return canonicalize(value);
  } catch (error) {
    return String(error);
  }
}

function rolesFor({ delegations }: Targets, path: string): unknown {
  try {
    return delegations === undefined ? undefined : [...delegations.rolesForTarget(path)];
  } catch (error) {
    return String(error);
  }
}

const PATHS = ['a', 'b/c', '1', '__proto__', 'constructor', 'toString'];

const name = fc.oneof(fc.constantFrom(...PATHS, 'root', 'targets', 'snapshot.json', 'targets.json', ''), fc.string({ maxLength: 5 }));
const key = fc.record({ keytype: name, scheme: name, keyval: fc.record({ public: fc.string() }) });
const keys = fc.dictionary(name, key, { maxKeys: 4 });
const roleKeys = { keyids: fc.uniqueArray(name, { maxLength: 3 }), threshold: fc.integer({ min: 1, max: 3 }) };
const meta = fc.record({ version: fc.nat(), length: fc.nat(), hashes: fc.dictionary(name, fc.string()) }, { requiredKeys: ['version'] });
const targetFile = fc.record(
  { length: fc.nat(), hashes: fc.dictionary(name, name), custom: fc.jsonValue() },
  { requiredKeys: ['length', 'hashes'] },
);
const paths = fc.array(fc.constantFrom('*', 'b/*', 'a', '?', '**', '[a'), { maxLength: 3 });
const delegated = fc.oneof(
  fc.record({ ...roleKeys, name, terminating: fc.boolean(), paths }),
  fc.record({
    ...roleKeys,
    name,
    terminating: fc.boolean(),
    path_hash_prefixes: fc.array(fc.constantFrom('', 'c', 'ca', '5'), { maxLength: 3 }),
  }),
);
const succinct = fc.record({ ...roleKeys, bit_length: fc.integer({ min: 0, max: 33 }), name_prefix: name });
const delegations = fc.oneof(
  fc.record({ keys, roles: fc.array(delegated, { maxLength: 4 }), extra: fc.jsonValue() }, { requiredKeys: ['keys', 'roles'] }),
  fc.record({ keys, succinct_roles: succinct }),
  fc.record({ keys, roles: fc.array(delegated, { maxLength: 2 }), succinct_roles: succinct }),
);
const common = {
  spec_version: fc.constantFrom('1.0.0', '1.0', '1.0.31', '2.0.0', '', '1'),
  version: fc.nat(),
  expires: fc.constantFrom('2030-01-01T00:00:00Z', 'tomorrow'),
};
const extras = { 'x-extra': fc.jsonValue() };
const roles = fc
  .dictionary(name, fc.record(roleKeys), { maxKeys: 2 })
  .chain((others) =>
    fc
      .record({ root: fc.record(roleKeys), targets: fc.record(roleKeys), snapshot: fc.record(roleKeys), timestamp: fc.record(roleKeys) })
      .map((top) => ({ ...others, ...top })),
  );
const SIGNED = {
  [MetadataKind.Root]: fc.record(
    { ...common, consistent_snapshot: fc.boolean(), keys, roles, ...extras },
    { requiredKeys: ['spec_version', 'version', 'expires', 'consistent_snapshot'] },
  ),
  [MetadataKind.Timestamp]: fc.record({ ...common, meta: fc.record({ 'snapshot.json': meta }) }),
  [MetadataKind.Snapshot]: fc.record(
    { ...common, meta: fc.dictionary(name, meta), ...extras },
    { requiredKeys: ['spec_version', 'version', 'expires'] },
  ),
  [MetadataKind.Targets]: fc.record(
    { ...common, targets: fc.dictionary(name, targetFile), delegations, ...extras },
    { requiredKeys: ['spec_version', 'version', 'expires'] },
  ),
};

interface Broken {
  readonly kind: Kind;
  readonly signed: unknown;
  /** Where to break it: how many members to pass at each level. */
  readonly path: readonly number[];
  readonly how: 'not at all' | 'replace' | 'remove' | 'rename' | 'double';
  readonly value: unknown;
  readonly name: string;
}

const documents: fc.Arbitrary<Broken> = fc.constantFrom(...KINDS).chain((kind) =>
  fc.record({
    kind: fc.constant(kind),
    signed: SIGNED[kind],
    path: fc.array(fc.nat(20), { minLength: 1, maxLength: 5 }),
    how: fc.constantFrom('not at all', 'not at all', 'replace', 'remove', 'rename', 'double'),
    value: fc.oneof(fc.jsonValue(), fc.constantFrom(null, [], {}, [{}], [null], '', 0)),
    name,
  }),
);

/** As text, so that a member `__proto__` is one. */
function textOf({ kind, signed, path, how, value, name: renamed }: Broken): string {
  const document: unknown = JSON.parse(JSON.stringify({ signed: { _type: kind, ...(signed as object) }, signatures: [] }));
  let parent = document as Record<string, unknown>;
  for (const step of path) {
    const members = Object.keys(parent);
    const member = members[step % members.length];
    if (member === undefined) break;
    const child = parent[member];
    if (step !== path.at(-1) && typeof child === 'object' && child !== null) {
      parent = child as Record<string, unknown>;
      continue;
    }
    if (how === 'replace') define(parent, member, value);
    if (how === 'remove') delete parent[member];
    if (how === 'rename') define(parent, renamed, child);
    if (how === 'double' && Array.isArray(parent)) parent.push(child);
    break;
  }
  return JSON.stringify(document);
}

function define(object: object, member: string, value: unknown): void {
  Object.defineProperty(object, member, { value, enumerable: true, configurable: true, writable: true });
}

test('withLinearModels() accepts, refuses, finds and signs what tuf-js does, well-formed or broken', (t) => {
  let accepted = 0;
  let refused = 0;
  fc.assert(
    fc.property(documents, (broken) => {
      if (assertAlike(broken.kind, textOf(broken))) accepted += 1;
      else refused += 1;
    }),
    { numRuns: 4000 },
  );
  t.diagnostic(`${accepted} accepted, ${refused} refused`);
  assert.ok(accepted > 400 && refused > 400, `${accepted} accepted, ${refused} refused`);
});

test('withLinearModels() reads every fixture as tuf-js does', async () => {
  let count = 0;
  for (const { directory } of FIXTURES) {
    const folder = join(directory, 'metadata');
    for (const file of (await readdir(folder)).filter((each) => each.endsWith('.json'))) {
      const text = await readFile(join(folder, file), 'utf8');
      const kind = KINDS.find((each) => JSON.parse(text).signed._type === each);
      assert.ok(kind !== undefined && assertAlike(kind, text), file);
      count += 1;
    }
  }
  assert.ok(count >= 8);
});

test('withLinearModels() leaves the models of everybody else as they were, also when the work throws', () => {
  const fromJSON: unknown = Reflect.get(Targets, 'fromJSON');
  withLinearModels(() => assert.notEqual(Reflect.get(Targets, 'fromJSON'), fromJSON));
  assert.equal(Reflect.get(Targets, 'fromJSON'), fromJSON);
  assert.throws(
    () =>
      withLinearModels(() => {
        throw new RangeError('no');
      }),
    RangeError,
  );
  assert.equal(Reflect.get(Targets, 'fromJSON'), fromJSON);
});

const MANY = 50_000;
const COMMON = { spec_version: '1.0.0', version: 1, expires: '2030-01-01T00:00:00Z' };
const many = (value: object): object => Object.fromEntries(Array.from({ length: MANY }, (_, index) => [`n${index}`, value]));
const KEY = { keytype: '', scheme: '', keyval: {} };
const ROLE = { keyids: [], threshold: 1 };
const LARGE: Readonly<Record<string, readonly [Kind, object]>> = {
  targets: [MetadataKind.Targets, { ...COMMON, targets: many({ length: 1, hashes: {} }) }],
  'keys of delegations': [MetadataKind.Targets, { ...COMMON, delegations: { keys: many(KEY), roles: [] } }],
  'delegated roles': [
    MetadataKind.Targets,
    {
      ...COMMON,
      delegations: {
        keys: {},
        roles: Array.from({ length: MANY }, (_, index) => ({ ...ROLE, name: `n${index}`, terminating: true, paths: [] })),
      },
    },
  ],
  'files in a snapshot': [MetadataKind.Snapshot, { ...COMMON, meta: many({ version: 1 }) }],
  'keys of a root': [
    MetadataKind.Root,
    { ...COMMON, consistent_snapshot: true, keys: many(KEY), roles: { root: ROLE, targets: ROLE, snapshot: ROLE, timestamp: ROLE } },
  ],
  'roles of a root': [
    MetadataKind.Root,
    {
      ...COMMON,
      consistent_snapshot: true,
      keys: {},
      roles: { ...many(ROLE), root: ROLE, targets: ROLE, snapshot: ROLE, timestamp: ROLE },
    },
  ],
};

for (const [what, [kind, signed]] of Object.entries(LARGE)) {
  test(`withLinearModels() reads and writes 50,000 ${what} in no time`, () => {
    const text = JSON.stringify({ signed: { _type: kind, ...signed }, signatures: [] });
    const started = performance.now();
    const role = withLinearModels(() => read(kind, text));
    assert.ok(role !== 'refused');
    canonicalize(role.signed.toJSON());
    // Quadratic work takes minutes.
    assert.ok(performance.now() - started < 8000);
  });
}
