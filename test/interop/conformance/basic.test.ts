/** The items of `test_basic.py`. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { allItems, item } from '../../support/conformance.ts';
import { METADATA } from '../../support/simulator.ts';

const M = 'test_basic';
const ALL = { root: 1, timestamp: 1, snapshot: 1, targets: 1 };

item(M, 'basic_refresh_requests', async ({ refresh, asked }) => {
  assert.equal(await refresh(), 0);
  assert.deepEqual(asked(), ['2.root.json', 'timestamp.json', '1.snapshot.json', '1.targets.json']);
});

item(M, 'basic_refresh_trusted_data', async ({ refresh, world, metadataDir }) => {
  await refresh();
  for (const [role, file] of Object.entries({ root: '1.root', timestamp: 'timestamp', snapshot: '1.snapshot', targets: '1.targets' })) {
    assert.deepEqual(await readFile(join(metadataDir, `${role}.json`)), Buffer.from(world.metadata(`${file}.json`)));
  }
});

item(M, 'implicit_refresh', async ({ download, asked, trusted }) => {
  assert.equal(await download('nonexistent artifact'), 1);
  assert.equal(asked().length, 4);
  assert.deepEqual(await trusted(), ALL);
});

const withoutVersion = (bytes: Uint8Array): Uint8Array => {
  const { signed, signatures } = JSON.parse(Buffer.from(bytes).toString());
  delete signed.version;
  return Buffer.from(JSON.stringify({ signed, signatures }));
};

item(M, 'invalid_initial_root', async ({ init, refresh, world, asked }) => {
  await init(withoutVersion(world.metadata('1.root.json')));
  assert.equal(await refresh(), 1);
  assert.deepEqual(asked(), []);
});

item(M, 'unsigned_initial_root', async ({ init, refresh, world, asked }) => {
  const { signed } = JSON.parse(Buffer.from(world.metadata('1.root.json')).toString());
  await init(Buffer.from(JSON.stringify({ signed, signatures: [] })));
  assert.equal(await refresh(), 1);
  assert.deepEqual(asked(), []);
});

const KEPT = {
  root: { root: 1 },
  timestamp: { root: 1 },
  snapshot: { root: 1, timestamp: 2 },
  targets: { root: 1, timestamp: 2, snapshot: 2 },
} as const;

for (const [role, kept] of Object.entries(KEPT)) {
  item(M, `unsigned_metadata[${role}]`, async ({ refresh, world, trusted }) => {
    await world.publish({ [role]: { signers: [] } }, role === 'root' ? ['root'] : undefined);
    assert.equal(await refresh(), 1);
    assert.deepEqual(await trusted(), kept);
  });
}

for (const role of ['root', 'snapshot', 'targets'] as const) {
  item(M, `url_and_metadata_version_mismatch[${role}]`, async ({ refresh, world, trusted }) => {
    world.metaStyle = 'version';
    await world.publish(
      { [role]: { signed: (signed: { version: number }) => ({ ...signed, version: signed.version + 1 }) } },
      role === 'root' ? ['root'] : undefined,
    );
    assert.equal(await refresh(), 1);
    assert.deepEqual(await trusted(), KEPT[role]);
  });
}

item(M, 'timestamp_content_changes', async ({ refresh, world, metadataDir }) => {
  await refresh();
  const before = Buffer.from(world.metadata('timestamp.json'));
  world.role('timestamp').version -= 1;
  world.role('timestamp').expires = new Date('2099-01-01T00:00:00Z');
  await world.publish({}, ['timestamp']);
  assert.notDeepEqual(Buffer.from(world.metadata('timestamp.json')), before);
  assert.equal(await refresh(), 0);
  assert.deepEqual(await readFile(join(metadataDir, 'timestamp.json')), before);
});

item(M, 'basic_metadata_hash_support', async ({ refresh, world, trusted }) => {
  await world.publish();
  assert.equal(await refresh(), 0);
  assert.deepEqual(await trusted(), { root: 1, timestamp: 2, snapshot: 2, targets: 2 });
});

for (const role of ['targets', 'snapshot'] as const) {
  item(M, `${role}_hash_mismatch`, async ({ refresh, world, trusted }) => {
    await refresh();
    await world.publish({ [role]: { bytes: (bytes: Buffer) => Buffer.concat([bytes.subarray(0, -1), Buffer.from(' }')]) } });
    assert.equal(await refresh(), 1);
    assert.deepEqual(await trusted(), { ...ALL, timestamp: 2, ...(role === 'targets' ? { snapshot: 2 } : {}) });
  });
}

item(M, 'metadata_bytes_match', async ({ refresh, world, metadataDir }) => {
  world.metaStyle = 'version';
  const space = { bytes: (bytes: Buffer) => Buffer.concat([bytes, Buffer.from(' \n ')]) };
  await world.publish({ timestamp: space, snapshot: space, targets: space });
  assert.equal(await refresh(), 0);
  for (const [role, file] of Object.entries({ timestamp: 'timestamp', snapshot: '2.snapshot', targets: '2.targets' })) {
    assert.deepEqual(await readFile(join(metadataDir, `${role}.json`)), Buffer.from(world.metadata(`${file}.json`)));
  }
});

item(M, 'custom_fields', async ({ init, refresh, world, trusted }) => {
  const custom = { signed: (signed: object) => ({ ...signed, 'x-custom': { deep: [1, 'two', null] } }) };
  world.role('root').version = 0;
  await world.publish(
    {
      root: {
        signed: ({ keys, ...rest }) => ({
          ...rest,
          'x-custom': true,
          keys: Object.fromEntries(
            Object.entries(keys).map(([id, key]) => [id, { ...key, 'x-owner': '@me', keyval: { ...key.keyval, 'x-more': 'here' } }]),
          ),
        }),
      },
    },
    ['root'],
  );
  await init();
  await world.publish({ timestamp: custom, snapshot: custom, targets: custom });
  assert.equal(await refresh(), 0);
  assert.deepEqual(await trusted(), { root: 1, timestamp: 2, snapshot: 2, targets: 2 });
});

item(M, 'deprecated_keyid_hash_algorithms', async ({ init, refresh, world }) => {
  world.role('root').version = 0;
  await world.publish(
    {
      root: {
        signed: ({ keys, ...rest }) => ({
          ...rest,
          keys: Object.fromEntries(Object.entries(keys).map(([id, key]) => [id, { ...key, keyid_hash_algorithms: ['md5'] }])),
        }),
      },
    },
    ['root'],
  );
  await init();
  assert.equal(await refresh(), 0);
});

for (const role of ['snapshot', 'targets'] as const) {
  item(M, `${role}_404`, async ({ refresh, world, trusted }) => {
    await refresh();
    await world.publish();
    world.files.delete(`${METADATA}2.${role}.json`);
    assert.equal(await refresh(), 1);
    assert.deepEqual(await trusted(), { ...ALL, timestamp: 2, ...(role === 'targets' ? { snapshot: 2 } : {}) });
  });
}

item(M, 'timestamp_404', async ({ refresh, world, asked, trusted }) => {
  world.files.delete(`${METADATA}timestamp.json`);
  assert.equal(await refresh(), 1);
  assert.deepEqual(asked(), ['2.root.json', 'timestamp.json']);
  assert.deepEqual(await trusted(), { root: 1 });
});

item(M, 'incorrect_metadata_type', async ({ init, refresh, world, trusted }) => {
  world.role('snapshot').signers = world.role('timestamp').signers;
  world.role('root').version = 0;
  await world.publish({}, ['root', 'targets', 'snapshot', 'timestamp']);
  await init();
  world.files.set(`${METADATA}timestamp.json`, world.metadata('2.snapshot.json'));
  assert.equal(await refresh(), 1);
  assert.deepEqual(await trusted(), { root: 1 });
});

// The suite wraps the client in libfaketime; here its clock is set before it starts.
item(M, 'faketime', async ({ refresh, world }) => {
  world.role('timestamp').expires = new Date(Date.now() + 3_600_000);
  await world.publish();
  const wrapped = (days: number): Readonly<Record<string, string>> => {
    const shift = `const Real = Date; globalThis.Date = class extends Real { constructor(...a) { super(...(a.length ? a : [Real.now() + ${days * 86_400_000}])); } };`;
    return { NODE_OPTIONS: `--import ${JSON.stringify(`data:text/javascript,${encodeURIComponent(shift)}`)}` };
  };
  assert.equal(await refresh(wrapped(1)), 1);
  assert.equal(await refresh(wrapped(0)), 0);
});

allItems(M);
