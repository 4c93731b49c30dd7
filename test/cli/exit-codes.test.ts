import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EXIT, exitCodeOf } from '../../cli/exit-codes.ts';
import { hintFor } from '../../cli/ui/hints.ts';
import { GantryError, type ErrorCode } from '../../lib/errors.ts';

/** The promise to scripts, by example: docs/ci.md has the words. */
const PROMISED: readonly (readonly [exitCode: number, codes: readonly ErrorCode[]])[] = [
  [EXIT.refused, ['client/untrusted', 'client/expired', 'client/rollback', 'client/target-altered', 'tuf/threshold', 'image/bad-frame']],
  [EXIT.refused, ['publish/rolled-back', 'publish/target-differs', 'repository/rollback', 'repository/root-chain']],
  [EXIT.usage, ['usage/option', 'usage/arguments', 'usage/confirm']],
  [
    EXIT.input,
    ['workspace/not-one', 'workspace/bad-config', 'release/bad-version', 'image/empty', 'keys/missing', 'keys/passphrase-wrong'],
  ],
  [EXIT.input, ['tuf/not-portable', 'repository/incomplete', 'files/missing', 'files/exposed', 'files/changed', 'http/bad-url']],
  // Signing and publishing once more, as after a conflict, would not help.
  [EXIT.input, ['publish/too-late']],
  [EXIT.network, ['http/unreachable', 'http/stalled', 'http/missing', 'store/missing', 'store/denied', 'store/failed']],
  [EXIT.conflict, ['publish/conflict', 'store/conflict', 'repository/moved-on']],
  [EXIT.machine, ['files/disk-full', 'files/not-writable', 'files/locked', 'server/port-in-use']],
  [EXIT.interrupted, ['aborted']],
];

for (const [exitCode, codes] of PROMISED) {
  test(`exitCodeOf() answers ${exitCode} when the error is ${codes.join(', ')}`, () => {
    assert.deepEqual(
      codes.map((code) => [code, exitCodeOf(code)]),
      codes.map((code) => [code, exitCode]),
    );
  });
}

test('hintFor() names the file when the details have one', () => {
  const error = new GantryError('files/exposed', 'Cannot use it', { path: '/keys/a.pem', mode: '644' });
  assert.equal(hintFor(error), 'chmod 600 /keys/a.pem');
});

test('hintFor() names the command that was meant when one is near', () => {
  const of = (suggestions: readonly string[]): string | undefined =>
    hintFor(new GantryError('usage/arguments', 'Cannot run it', { command: 'gantry key', suggestions }));
  assert.equal(of([]), 'gantry key --help shows how');
  assert.equal(of(['list', 'show']), 'did you mean list or show? gantry key --help shows how');
});
