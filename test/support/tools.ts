/** Programs of the machine that a few tests need. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { TestContext } from 'node:test';

/**
 * True when `name` is on the PATH. Otherwise the test is skipped by name, or fails where `CI` is `true`: nothing is skipped there.
 */
export function requireTool(t: TestContext, name: string): boolean {
  if ((process.env['PATH'] ?? '').split(delimiter).some((folder) => folder !== '' && isExecutable(join(folder, name)))) return true;
  if (process.env['CI'] === 'true')
    throw new Error(`Cannot run this test: ${name} is not installed; CI installs every tool that a test needs`);
  t.skip(`${name} is not installed`);
  return false;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
