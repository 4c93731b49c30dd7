/** Downloads that were interrupted: what another client makes of what is left. */
import assert from 'node:assert/strict';
import { chmod, readFile, readdir, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { assertSameBytes } from '../support/bytes.ts';
import { broken, bytesOf, downloadScene, FRAMED, leftBy, MIB, PLAIN, RAW } from '../support/download-scene.ts';
import { rangeServer } from '../support/range-server.ts';

test('download() goes on at another mirror, whatever its ETag is', async (t) => {
  const scene = await downloadScene(t);
  for (const name of [FRAMED, PLAIN]) {
    const file = await broken(scene, name, 4 * MIB + 5000);
    const other = rangeServer({ etag: '"two"' });
    scene.servers[0].lies.set(scene.simulator.targetFile(name), (response) => response.destroy());
    scene.servers[1].lies.set(scene.simulator.targetFile(name), other.lie);
    const client = await scene.open();
    await client.refresh();
    await client.download(await client.target(name), file);
    assertSameBytes(await readFile(file), bytesOf(scene.simulator, name), name);
    const [only = assert.fail()] = other.asked;
    assert.deepEqual([other.asked.length, only.ifRange], [1, undefined]);
    assert.ok(only.from > 3 * MIB && only.from <= 4 * MIB + 5000, `${name} from ${only.from}`);
  }
});

test('download() asks the same mirror with its ETag, and begins anew when that has changed; frames do not care', async (t) => {
  const scene = await downloadScene(t);
  for (const [name, ifRange, froms] of [
    [PLAIN, '"one"', [4 * MIB, 0]],
    [FRAMED, undefined, undefined],
  ] as const) {
    const file = await broken(scene, name, 4 * MIB);
    // Answers 206 to a stale If-Range, as object stores do.
    const changed = rangeServer({ etag: '"two"' });
    scene.servers[0].lies.set(scene.simulator.targetFile(name), changed.lie);
    const client = await scene.restarted();
    await client.download(await client.target(name), file);
    assertSameBytes(await readFile(file), bytesOf(scene.simulator, name), name);
    assert.equal(changed.asked[0]?.ifRange, ifRange);
    assert.ok((changed.asked[0]?.from ?? 0) > 3 * MIB);
    if (froms !== undefined)
      assert.deepEqual(
        changed.asked.map(({ from }) => from),
        froms,
      );
  }
});

test('download() begins anew once when what was kept does not fit what comes, and then fails', async (t) => {
  const scene = await downloadScene(t);
  const file = await broken(scene, PLAIN, 4 * MIB);
  const partial = await leftBy(scene.directory, 'part');
  const bytes = await readFile(partial);
  bytes.fill(7, 100, 200);
  await writeFile(partial, bytes);
  const honest = rangeServer({ etag: '"one"' });
  scene.servers[0].lies.set(scene.simulator.targetFile(PLAIN), honest.lie);
  const client = await scene.restarted();
  await client.download(await client.target(PLAIN), file);
  assertSameBytes(await readFile(file), RAW);
  assert.deepEqual(
    honest.asked.map(({ from }) => from),
    [4 * MIB, 0],
  );
  const again = await broken(scene, PLAIN, 4 * MIB);
  const liar = rangeServer({ etag: '"one"', change: (part) => Buffer.alloc(part.length, 1) });
  scene.servers[0].lies.set(scene.simulator.targetFile(PLAIN), liar.lie);
  const refused = await scene.restarted();
  await assert.rejects(refused.download(await refused.target(PLAIN), again), { code: 'client/target-altered' });
  assert.deepEqual(
    liar.asked.map(({ from }) => from),
    [4 * MIB, 0],
  );
  assert.deepEqual(
    (await readdir(scene.directory)).filter((name) => name.includes('gantry')),
    [],
  );
});

test('download() fetches a kept frame again when it is not what is signed, it alone, and says so', async (t) => {
  for (const form of ['published', 'image'] as const) {
    const scene = await downloadScene(t);
    const file = await broken(scene, FRAMED, 4 * MIB + 5000, form);
    const partial = await leftBy(scene.directory, 'part');
    const bytes = await readFile(partial);
    // The second frame.
    bytes.fill(7, MIB + 5000, MIB + 5100);
    await writeFile(partial, bytes);
    const honest = rangeServer();
    scene.servers[0].lies.set(scene.simulator.targetFile(FRAMED), honest.lie);
    const client = await scene.restarted();
    const { keptBytes, receivedBytes } = await client.download(await client.target(FRAMED), file, { form });
    assertSameBytes(await readFile(file), form === 'image' ? RAW : bytesOf(scene.simulator, FRAMED));
    assert.match(client.notices.join('\n'), /^1 of the frames .* not what is signed/u);
    const [one = assert.fail(), rest = assert.fail(), ...more] = honest.asked;
    assert.equal(more.length, 0);
    assert.ok(one.from > MIB && one.to < 2.1 * MIB && rest.from > 3 * MIB, JSON.stringify(honest.asked));
    assert.equal(keptBytes + receivedBytes, bytesOf(scene.simulator, FRAMED).length);
  }
});

test('download() discards a journal that is torn, foreign or of something else, says so, and begins anew', async (t) => {
  const damages: Readonly<Record<string, (text: string) => string>> = {
    'no text': () => '\0\0\0\0',
    'another file': () => '{"some":"json"}\n',
    'another version': (text) => text.replace('gantry-download 1', 'gantry-download 2'),
    'another target': (text) => text.replace('sha256:', 'sha256:0'),
  };
  for (const [what, damage] of Object.entries(damages)) {
    const scene = await downloadScene(t);
    const file = await broken(scene, FRAMED, 4 * MIB);
    const journal = await leftBy(scene.directory, 'journal');
    await writeFile(journal, damage(await readFile(journal, 'utf8')));
    scene.servers[0].lies.clear();
    const client = await scene.restarted();
    const { keptBytes } = await client.download(await client.target(FRAMED), file);
    assert.equal(keptBytes, 0, what);
    assert.match(client.notices.join('\n'), /has left is discarded/u, what);
    assertSameBytes(await readFile(file), bytesOf(scene.simulator, FRAMED));
  }
});

test('download() uses a journal up to the line that makes no sense', async (t) => {
  const scene = await downloadScene(t);
  const file = await broken(scene, FRAMED, 4 * MIB + 5000);
  const journal = await leftBy(scene.directory, 'journal');
  const [header = '', ...lines] = (await readFile(journal, 'utf8'))
    .split('\n')
    .filter((line) => line === '' || /^(?:\{|frame)/u.test(line));
  // As some file systems leave a file after a power cut; then a line that was cut off.
  await writeFile(journal, [header, lines[0], lines[1], '\0\0\0', lines[2], 'frame 3'].join('\n'));
  scene.servers[0].lies.set(scene.simulator.targetFile(FRAMED), rangeServer().lie);
  const client = await scene.restarted();
  const { keptBytes } = await client.download(await client.target(FRAMED), file);
  assert.ok(keptBytes > 1.9 * MIB && keptBytes < 2.1 * MIB, String(keptBytes));
  assert.match(client.notices.join('\n'), /is damaged: line 4 makes no sense; what follows is ignored/u);
  assertSameBytes(await readFile(file), bytesOf(scene.simulator, FRAMED));
});

test('download() believes unsynced bytes of a target without frames only while the machine runs', async (t) => {
  const scene = await downloadScene(t);
  const file = await broken(scene, PLAIN, 4 * MIB);
  const journal = await leftBy(scene.directory, 'journal');
  const text = (await readFile(journal, 'utf8')).replace(/"boot":"[^"]*"/u, '"boot":"before"').replaceAll(/^synced .*\n/gmu, '');
  await writeFile(journal, `${text.replaceAll(/^written .*\n/gmu, '')}synced ${MIB}\nwritten ${3 * MIB}\n`);
  const honest = rangeServer({ etag: '"one"' });
  scene.servers[0].lies.set(scene.simulator.targetFile(PLAIN), honest.lie);
  const client = await scene.restarted();
  await client.download(await client.target(PLAIN), file);
  assert.deepEqual(
    honest.asked.map(({ from }) => from),
    [MIB],
  );
  assertSameBytes(await readFile(file), RAW);
});

test('download() does not use a private file that somebody else can change', async (t) => {
  const damages: Readonly<Record<string, (partial: string, directory: string) => Promise<void>>> = {
    'others may write it': async (partial) => chmod(partial, 0o666),
    'it has another length': async (partial) => truncate(partial, MIB),
    'it is a link': async (partial, directory) => {
      const elsewhere = join(directory, 'elsewhere');
      await writeFile(elsewhere, await readFile(partial));
      await rm(partial);
      await symlink(elsewhere, partial);
    },
  };
  for (const [what, damage] of Object.entries(damages)) {
    const scene = await downloadScene(t);
    const file = await broken(scene, FRAMED, 4 * MIB);
    await damage(await leftBy(scene.directory, 'part'), scene.directory);
    scene.servers[0].lies.clear();
    const client = await scene.restarted();
    const { keptBytes } = await client.download(await client.target(FRAMED), file);
    assert.equal(keptBytes, 0, what);
    assert.match(client.notices.join('\n'), /has left is discarded: the file is not as it was written/u, what);
    assert.ok((await stat(file)).isFile());
    assertSameBytes(await readFile(file), bytesOf(scene.simulator, FRAMED));
  }
});
