/** The metrics of `gantry status`, as the parser of Prometheus's own Python client reads them. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { metricsText } from '../../cli/ui/metrics.ts';
import { readStatus } from '../../lib/publish/status.ts';
import { engineerWithRelease, METAL, temporaryDirectory } from '../support/engineer.ts';
import { linterCommand, skipReason } from '../support/peers.ts';

const runFile = promisify(execFile);
const PROGRAM = `
import json, sys
from prometheus_client.parser import text_string_to_metric_families
text = open(sys.argv[1], encoding="utf-8").read()
print(json.dumps([[s.name, s.labels, s.value, f.type] for f in text_string_to_metric_families(text) for s in f.samples]))
`;

describe('prometheus_client', { skip: await skipReason('python') }, () => {
  test('reads every metric of a status, names and labels that need escapes among them', async (t) => {
    const engineer = await engineerWithRelease(t, '1.0.0');
    const status = await readStatus(engineer.workspace, engineer.store, { now: engineer.now, canSign: async () => true });
    const product = 'a "quoted" \\ back\nslash';
    const text = metricsText(status, product, engineer.now);
    const file = join(await temporaryDirectory(t), 'gantry.prom');
    await writeFile(file, text);
    const [command] = await linterCommand('python');
    const { stdout } = await runFile(command, ['-c', PROGRAM, file]);
    const samples = JSON.parse(stdout) as readonly (readonly [string, Record<string, string>, number, string])[];
    assert.equal(samples.length, text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length);
    assert.ok(samples.every(([, labels, , type]) => labels['product'] === product && type === 'gauge'));
    const expires = samples.find(([name, labels]) => name === 'gantry_role_expires_timestamp_seconds' && labels['role'] === 'timestamp');
    assert.deepEqual(expires?.[1], { product, ...METAL, role: 'timestamp' });
    assert.equal(expires?.[2], new Date('2026-06-08T12:00:00Z').getTime() / 1000);
  });
});
