/** The items of `test_updater_delegation_graphs.py`: in which order roles are asked for, and what their paths match. */
import assert from 'node:assert/strict';
import { allItems, item } from '../../support/conformance.ts';
import { newSigner, type World } from '../../support/tuf-world.ts';

const M = 'test_updater_delegation_graphs';

/** `A>B:paths`, or `A>B!:paths` when it is terminating, in the order of appearance; then the roles that are asked for. */
interface Graph {
  readonly edges: readonly string[];
  readonly visits: readonly string[];
}

const GRAPHS: Readonly<Record<string, Graph>> = {
  'basic delegation': { edges: ['targets>A:*'], visits: ['A'] },
  'single level delegations': { edges: ['targets>A:*', 'targets>B:*'], visits: ['A', 'B'] },
  'two level delegations': { edges: ['targets>A:*', 'targets>B:*', 'B>C:*'], visits: ['A', 'B', 'C'] },
  'two level test DFS': { edges: ['targets>A:*', 'targets>B:*', 'A>C:*', 'C>D:*'], visits: ['A', 'C', 'D', 'B'] },
  'three level delegation with terminating': { edges: ['targets>A:*', 'A>B!:*', 'targets>C:*', 'B>D:*'], visits: ['A', 'B', 'D'] },
  'terminating ignores all but its descendants': { edges: ['targets>A!:*', 'targets>B:*', 'A>C:*', 'A>D:*'], visits: ['A', 'C', 'D'] },
  'paths that do not match are passed over': { edges: ['targets>A:else', 'targets>B:*', 'A>C:*'], visits: ['B'] },
  'terminating with paths that do not match': { edges: ['targets>A!:else', 'targets>B:*'], visits: ['B'] },
  'self delegation': { edges: ['targets>A:*', 'A>A:*', 'targets>B:*'], visits: ['A', 'B'] },
  'cyclic graph': { edges: ['targets>A:*', 'targets>B:*', 'B>C:*', 'C>D:*', 'D>B:*'], visits: ['A', 'B', 'C', 'D'] },
  diamond: { edges: ['targets>A:*', 'targets>B:*', 'A>C:*', 'B>C:*'], visits: ['A', 'C', 'B'] },
  'two roles that delegate to each other': { edges: ['targets>A:*', 'A>B:*', 'B>A:*', 'B>C:*'], visits: ['A', 'B', 'C'] },
};

async function build(world: World, edges: readonly string[]): Promise<void> {
  for (const edge of edges) {
    const [, parent = '', name = '', mark, paths = ''] = /^(\w+)>(\w+)(!?):(.*)$/u.exec(edge) ?? [];
    await world.delegate(parent, { name, terminating: mark === '!', paths: paths.split(',') });
  }
}

for (const [name, { edges, visits }] of Object.entries(GRAPHS)) {
  item(M, `graph_traversal[${name}]`, async ({ world, refresh, download, asked }) => {
    await build(world, edges);
    await world.publish();
    assert.equal(await refresh(), 0);
    asked();
    assert.equal(await download('missing.txt'), 1);
    assert.deepEqual(asked(), ['2.root.json', 'timestamp.json', ...visits.map((role) => `1.${role}.json`)]);
  });
}

/** A target, the patterns of the chain of roles above the one that lists it, and whether it is found. */
const SEARCHES: Readonly<Record<string, readonly [path: string, chain: readonly string[], isFound: boolean]>> = {
  'targetpath matches wildcard': ['file1.txt', ['file?.txt'], true],
  'targetpath with separators': ['dir/file2.txt', ['dir/*'], true],
  'a star does not cross separators': ['dir/sub/file3.txt', ['dir/*'], false],
  'a question mark is exactly one character': ['file.txt', ['file?.txt'], false],
  'case counts': ['FILE4.txt', ['file4.txt'], false],
  'a literal path': ['dir/sub/file5.txt', ['dir/sub/file5.txt'], true],
  'a leading separator counts': ['file6.txt', ['/file6.txt'], false],
  'every role of a chain must allow it': ['dir/file7.txt', ['dir/*', 'dir/file7.txt', '*/*'], true],
  'one role of a chain that does not allow it': ['dir/file8.txt', ['dir/*', 'else/*', 'dir/*'], false],
};

for (const [name, [path, chain, isFound]] of Object.entries(SEARCHES)) {
  item(M, `targetfile_search[${name}]`, async ({ world, download, content }) => {
    const names = chain.map((_, index) => `role${index}`);
    await build(
      world,
      chain.map((paths, index) => `${names[index - 1] ?? 'targets'}>${names[index]}:${paths}`),
    );
    world.role(names.at(-1) ?? '').targets.set(path, Buffer.from('content'));
    await world.publish();
    assert.equal(await download(path), isFound ? 0 : 1);
    if (isFound) assert.equal(await content(path), 'content');
  });
}

item(M, 'cached_role_is_verified_against_current_delegator', async ({ world, download }) => {
  const stranger = await newSigner();
  await build(world, ['targets>A:*', 'targets>B:*']);
  await world.delegate('A', { name: 'C', terminating: false, paths: ['a*'] });
  await world.delegate('B', { name: 'C', terminating: false, paths: ['b*'], keys: { keyids: [stranger.keyId], threshold: 1 } });
  for (const path of ['a1', 'b1']) world.role('C').targets.set(path, Buffer.from(path));
  await world.publish();
  assert.equal(await download('a1'), 0);
  assert.equal(await download('a1', 'b1'), 1);
});

item(M, 'delegation_not_in_snapshot', async ({ world, refresh, download, asked }) => {
  await build(world, ['targets>A:*']);
  await world.publish({ snapshot: { signed: ({ meta, ...rest }) => ({ ...rest, meta: { 'targets.json': meta['targets.json'] } }) } });
  assert.equal(await refresh(), 0);
  asked();
  assert.equal(await download('file.txt'), 1);
  assert.ok(!asked().some((file) => file.includes('A.json')));
});

allItems(M);
