import assert from 'node:assert/strict';
import { test } from 'node:test';
import { releaseRules } from '../../lib/release/lint.ts';
import { portabilityRules } from '../../lib/tuf/lint/rules.ts';
import { lintPage } from './lint-tables.ts';

test('docs/lint.md has every rule, in the words of the rules (node test/docs/lint-tables.ts writes them)', async () => {
  const { is, shouldBe } = await lintPage();
  assert.equal(is, shouldBe);
  for (const { id } of [...releaseRules, ...portabilityRules.values()]) assert.ok(is.includes(`| \`${id}\` |`), id);
});
