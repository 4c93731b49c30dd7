import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PAGES, pageOf } from './lint-tables.ts';

for (const [name, rules] of Object.entries(PAGES)) {
  test(`docs/${name} has every rule, in the words of the rules (node test/docs/lint-tables.ts writes them)`, async () => {
    const { is, shouldBe } = await pageOf(name);
    assert.equal(is, shouldBe);
    for (const { id } of rules) assert.ok(is.includes(`| \`${id}\` |`), id);
  });
}
