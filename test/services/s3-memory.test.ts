/** A publication of any size goes up in the same memory: parts on their way, not the object. Measured with the package, as users run it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { promisify } from 'node:util';
import { cliWorkspace, gantry, ADD } from '../support/cli.ts';
import { S3_SERVER_KINDS, skipReason, startS3Server } from '../support/s3-server.ts';
import { awsEnvironment } from './aws-environment.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const LIMIT_BYTES = 200e6;
const FILE_BYTES = 2 * 1024 ** 3;

// The sources would be compiled in the same process, which takes memory too.
before(async () => promisify(execFile)('npm', ['run', 'build'], { cwd: ROOT }));

for (const kind of S3_SERVER_KINDS) {
  test(`gantry publish stays below ${LIMIT_BYTES / 1e6} MB when 2 GiB go to ${kind}`, { skip: await skipReason(kind) }, async (t) => {
    const server = await startS3Server(kind);
    t.after(async () => server.stop());
    const { directory, workspace } = await cliWorkspace(t);
    const toml = join(workspace, 'gantry.toml');
    const store = `store = "s3://${await server.bucket('memory')}/os"`;
    const s3 = `[s3]\nendpoint = "${server.endpoint}"\nregion = "${server.region}"\npath_style = true\n`;
    await writeFile(toml, `${(await readFile(toml, 'utf8')).replace(/^store = .*$/mu, store)}\n${s3}`);
    // Of no size on this disk; the server keeps every byte of it.
    const large = join(directory, 'large.img');
    const file = await open(large, 'w');
    await file.truncate(FILE_BYTES);
    await file.close();
    // Runs in a process of its own, whose peak is then its own too.
    const peak = join(directory, 'peak');
    const report = `import { writeFileSync } from 'node:fs'; process.on('exit', () => writeFileSync(${JSON.stringify(peak)}, String(process.resourceUsage().maxRSS * 1024)));`;
    const env = { ...awsEnvironment(server.credentials), NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(report)}` };
    for (const command of [[...ADD, '--link-target', large], ['sign'], ['publish', '--verify', 'changed']]) {
      const { code, stderr } = await gantry(command, { cwd: workspace, env, bin: join(ROOT, 'dist', 'cli', 'gantry.js') });
      assert.equal(code, 0, stderr);
    }
    const peakBytes = Number(await readFile(peak, 'utf8'));
    t.diagnostic(`peak ${(peakBytes / 1e6).toFixed(0)} MB`);
    assert.ok(peakBytes < LIMIT_BYTES, `the peak was ${(peakBytes / 1e6).toFixed(0)} MB`);
  });
}
