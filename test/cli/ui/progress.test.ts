import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import { ProgressDisplay, type ProgressStyle } from '../../../cli/ui/progress.ts';
import { sign } from '../../../cli/ui/style.ts';

interface Stage {
  readonly display: ProgressDisplay;
  /** Everything that was written, without escape sequences. */
  readonly text: () => string;
  /** What was written since the last call. */
  readonly latest: () => string;
  readonly pass: (ms: number) => void;
}

function stage(style: ProgressStyle, columns = 80): Stage {
  let now = 0;
  let written = '';
  let read = 0;
  const screen = {
    columns,
    write(text: string) {
      written += stripVTControlCharacters(text);
    },
  };
  return {
    display: new ProgressDisplay(style, screen, () => now),
    text: () => written,
    latest() {
      const latest = written.slice(read);
      read = written.length;
      return latest;
    },
    pass(ms) {
      now += ms;
    },
  };
}

/** Until the library that draws is there. */
async function drawn({ text }: Stage): Promise<void> {
  for (let turns = 0; text() === '' && turns < 10_000; turns += 1) await setImmediate();
}

test('ProgressDisplay writes a line at the start, one every ten seconds and one at the end when there is no terminal', () => {
  const { display, pass, text } = stage('plain');
  const bar = display.start({ label: 'Compressing', totalBytes: 100 << 20 });
  for (let second = 1; second <= 25; second += 1) {
    pass(1000);
    bar.at(second * (4 << 20));
  }
  bar.done();
  assert.deepEqual(text().split('\n'), [
    'Compressing: 100.0 MiB',
    'Compressing:  40 %  40.0 MiB, 4.2 MB/s, 15 s left',
    'Compressing:  80 %  80.0 MiB, 4.2 MB/s, 5 s left',
    `${sign.done} Compressing: 100.0 MiB in 25.0 s, 4.2 MB/s`,
    '',
  ]);
});

test('ProgressDisplay writes nothing when it is told to be silent', () => {
  const { display, pass, text } = stage('none');
  const bar = display.start({ label: 'Compressing', totalBytes: 10 });
  pass(60_000);
  bar.at(5);
  bar.done();
  display.end();
  assert.equal(text(), '');
});

test('ProgressDisplay draws a line for each bar, at most ten times a second, when there is a terminal', async () => {
  const shown = stage('live');
  const { display, pass, latest } = shown;
  const one = display.start({ label: 'one', totalBytes: 1000 });
  const two = display.start({ label: 'two', totalBytes: 1000 });
  pass(100);
  one.at(500);
  await drawn(shown);
  assert.match(latest(), /^one \S+ {2}50 %.*\ntwo \S+ {3}0 %.*\n$/u);
  pass(99);
  two.at(250);
  assert.equal(latest(), '');
  pass(1);
  two.at(250);
  assert.match(latest(), /two \S+ {2}25 %/u);
  one.done();
  assert.match(latest(), /^\S+ one: 1000 B in 200 ms.*\ntwo .*\n$/u);
  two.done('nothing to do');
  assert.equal(latest(), `${sign.done} two: nothing to do\n`);
});

test('ProgressDisplay leaves a note above its bars when one comes in between', async () => {
  const shown = stage('live');
  const bar = shown.display.start({ label: 'one', totalBytes: 1000 });
  shown.pass(100);
  bar.at(100);
  await drawn(shown);
  shown.latest();
  shown.display.print('a note');
  assert.match(shown.latest(), /^a note\none .*\n$/u);
});

test('ProgressDisplay draws nothing more when a bar has failed or everything has ended', async () => {
  const shown = stage('live');
  const one = shown.display.start({ label: 'one', totalBytes: 1000 });
  const two = shown.display.start({ label: 'two', totalBytes: 1000 });
  shown.pass(100);
  two.at(100);
  await drawn(shown);
  shown.latest();
  one.fail();
  assert.match(shown.latest(), /^two .*\n$/u);
  shown.display.end();
  shown.pass(1000);
  one.at(500);
  two.at(500);
  two.done();
  assert.equal(shown.latest(), '');
});

test('ProgressDisplay keeps a bar on one line when the terminal is narrow', async () => {
  for (const columns of [30, 60, 80, 200]) {
    const shown = stage('live', columns);
    const bar = shown.display.start({ label: `Uploading ${'0123456789abcdef'.repeat(4)}.root.ext4.zst`, totalBytes: 10 << 30 });
    shown.pass(10_000);
    bar.at(5 << 29);
    await drawn(shown);
    const [line = ''] = shown.text().split('\n');
    assert.ok(line.length <= Math.max(columns, 42), `${columns}: ${line}`);
    if (columns > 100) assert.match(line, /\.root\.ext4\.zst/u);
  }
});
