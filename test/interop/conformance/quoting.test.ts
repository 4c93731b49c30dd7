/** The items of `test_quoting_issues.py`. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { allItems, item } from '../../support/conformance.ts';

const M = 'test_quoting_issues';

for (const name of ['?', '#', '/delegatedrole', '../delegatedrole']) {
  item(M, `unusual_role_name[${name}]`, async ({ download, world, asked, trusted, content, metadataDir }) => {
    await world.delegate('targets', { name, terminating: false, paths: ['*'] });
    world.role(name).targets.set('file.txt', Buffer.from('content'));
    await world.publish();
    assert.equal(await download('file.txt'), 0);
    assert.deepEqual(asked(), ['2.root.json', 'timestamp.json', '2.snapshot.json', '2.targets.json', `1.${name}.json`]);
    assert.equal((await trusted())[name], 1);
    assert.equal(await content('file.txt'), 'content');
    assert.deepEqual((await readdir(dirname(metadataDir))).toSorted(), ['metadata', 'metadata.state', 'targets', 'trusted-root.json']);
  });
}

allItems(M);
