import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { explanations } from '../../cli/explain/explain.ts';
import { doctorRules } from '../../lib/publish/doctor/rules.ts';
import { releaseRules } from '../../lib/release/lint.ts';
import { portabilityRules } from '../../lib/tuf/lint/rules.ts';
import { gantry } from '../support/cli.ts';

test('every finding and every error code that exists has an explanation', async () => {
  const source = await readFile(new URL('../../lib/errors.ts', import.meta.url), 'utf8');
  const codes = [...source.matchAll(/^ {2}'?([a-z]+\/[a-z0-9-]+|aborted)'?:/gmu)].map(([, code = '']) => code);
  assert.ok(codes.length > 130, `${codes.length} codes`);
  const rules = [...releaseRules, ...portabilityRules.values(), ...doctorRules].map(({ id }) => id);
  const known = explanations.map(({ id }) => id);
  assert.deepEqual(known.toSorted(), [...codes, ...rules].toSorted());
  for (const { id, means, why, fix } of explanations) {
    for (const text of [means, why, fix]) assert.match(text, /^\S.*[^.\s]$/u, `${id}: ${text}`);
    assert.doesNotMatch(fix, /there is nothing to do/u, id);
  }
});

test('gantry explain says what a finding and an error mean, why they matter and what to do', async () => {
  const gap = await gantry(['explain', 'migration-gap'], { cwd: tmpdir() });
  assert.equal(gap.code, 0, gap.stderr);
  assert.match(gap.stdout, /^migration-gap: a finding of gantry lint and gantry release lint\n {2}it means {3}the rule wants a chain/u);
  const error = JSON.parse((await gantry(['explain', 'publish/conflict', '--json'], { cwd: tmpdir() })).stdout) as Record<string, unknown>;
  assert.equal(error['kind'], 'error');
  assert.match(String(error['fix']), /gantry sign && gantry publish/u);
});

test('gantry explain refuses a name that nothing has, and names those that are near', async () => {
  const { code, stderr } = await gantry(['explain', 'conflict'], { cwd: tmpdir() });
  assert.equal(code, 2);
  assert.match(stderr, /Cannot explain "conflict": there is no such finding or error; .* such as store\/conflict, publish\/conflict/u);
});
