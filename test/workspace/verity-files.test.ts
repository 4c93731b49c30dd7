import assert from 'node:assert/strict';
import { appendFileSync, openSync, closeSync, writeSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildHashImage, verifyHashImage } from '../../lib/workspace/verity-files.ts';
import { imageBytes } from '../support/bytes.ts';
import { temporaryDirectory } from '../support/engineer.ts';
import { SALT, treeOf, UUID } from '../support/verity.ts';

const MIB = 1 << 20;
const IDENTITY = { salt: SALT, uuid: UUID };

/** What somebody does to an image that is being read. */
const CHANGES: Readonly<Record<string, (path: string) => void>> = {
  'is written to': (path) => {
    const file = openSync(path, 'r+');
    writeSync(file, 'x', 0);
    closeSync(file);
  },
  grows: (path) => appendFileSync(path, new Uint8Array(4096)),
};

for (const [what, change] of Object.entries(CHANGES)) {
  test(`buildHashImage() and verifyHashImage() say files/changed, and the old hash image stays, when the image ${what} meanwhile`, async (t) => {
    const directory = await temporaryDirectory(t);
    const [image, hash] = [join(directory, 'image'), join(directory, 'hash')];
    const content = imageBytes(8 * MIB);
    const { hashImage } = await treeOf(content);
    await writeFile(hash, hashImage);
    const changing = (): ((bytes: number) => void) => {
      let changes = 0;
      return (bytes) => {
        if (bytes < 4 * MIB || changes > 0) return;
        changes += 1;
        change(image);
      };
    };
    const expected = { code: 'files/changed', details: { path: image } };
    await writeFile(image, content);
    await assert.rejects(verifyHashImage(image, hash, { onProgress: changing() }), expected);
    await writeFile(image, content);
    await assert.rejects(buildHashImage(image, hash, { ...IDENTITY, overwrite: 'replace', onProgress: changing() }), expected);
    assert.deepEqual(await readFile(hash), hashImage);
    assert.deepEqual((await readdir(directory)).toSorted(), ['hash', 'image']);
  });
}
