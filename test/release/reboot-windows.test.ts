import assert from 'node:assert/strict';
import { test } from 'node:test';
import { minutesToReboot, parseRebootWindow, WEEK_MINUTES, type RebootWindow } from '../../lib/release/reboot-windows.ts';

const EVERY_DAY = [0, 1, 2, 3, 4, 5, 6];
const DAY = 1440;

/** A moment of the week: day 0 is Monday. */
const at = (day: number, hour: number, minute = 0): number => day * DAY + hour * 60 + minute;

function windows(...texts: readonly string[]): readonly RebootWindow[] {
  return texts.map((text) => {
    const window = parseRebootWindow(text);
    assert.ok(window !== undefined, text);
    return window;
  });
}

test('parseRebootWindow() reads times, days, lists and ranges of days', () => {
  assert.deepEqual(parseRebootWindow('22:00-04:00'), { days: EVERY_DAY, opens: 1320, closes: 240 });
  assert.deepEqual(parseRebootWindow(' Sat, SUN  1:30 - 5:05 '), { days: [5, 6], opens: 90, closes: 305 });
  assert.deepEqual(parseRebootWindow('mon-fri 02:00-04:00'), { days: [0, 1, 2, 3, 4], opens: 120, closes: 240 });
  assert.deepEqual(parseRebootWindow('sat-mon,wed 02:00-04:00'), { days: [0, 2, 5, 6], opens: 120, closes: 240 });
  assert.deepEqual(parseRebootWindow('00:00-24:00'), { days: EVERY_DAY, opens: 0, closes: DAY });
  assert.deepEqual(parseRebootWindow('22:00-00:00'), { days: EVERY_DAY, opens: 1320, closes: DAY });
});

test('parseRebootWindow() refuses what is no window', () => {
  const wrong = ['', '22:00', '22-04', '22:00-22:00', '24:00-01:00', '25:00-01:00', '22:60-23:00', '22:00-24:01', 'x 22:00-23:00'];
  const days = ['mon- 22:00-23:00', 'mon-tue-wed 22:00-23:00', ', 22:00-23:00', 'mon,,tue 22:00-23:00', 'mon22:00-23:00', '-mon 1:00-2:00'];
  for (const text of [...wrong, ...days, `${' '.repeat(100)}22:00-23:00`, '22:00-23:00; 1:00-2:00']) {
    assert.equal(parseRebootWindow(text), undefined, text);
  }
});

test('minutesToReboot() counts to the next opening, over midnight and over the end of the week', () => {
  const waits = minutesToReboot(windows('sat,sun 22:00-04:00'));
  assert.equal(waits.length, WEEK_MINUTES);
  assert.equal(waits[at(0, 0)], 0, 'the night from Sunday to Monday');
  assert.equal(waits[at(0, 3, 59)], 0);
  assert.equal(waits[at(0, 4)], at(5, 22) - at(0, 4));
  assert.equal(waits[at(5, 21, 59)], 1);
  assert.equal(waits[at(5, 22)], 0);
  assert.equal(waits[at(6, 3, 59)], 0);
  assert.equal(waits[at(6, 4)], 18 * 60);
  assert.equal(waits[at(6, 23, 59)], 0);
});

test('minutesToReboot() takes a day name for the day on which the window opens', () => {
  const waits = minutesToReboot(windows('fri 23:00-01:00'));
  assert.equal(waits[at(5, 0, 30)], 0, 'Saturday, half past midnight');
  assert.equal(waits[at(4, 0, 30)], at(4, 23) - at(4, 0, 30), 'Friday, half past midnight');
  assert.equal(waits[at(6, 12)], WEEK_MINUTES - at(6, 12) + at(4, 23));
});

test('minutesToReboot() joins windows, and waits for nothing without any', () => {
  const waits = minutesToReboot(windows('02:00-04:00', 'wed 12:00-13:00'));
  assert.equal(waits[at(2, 4)], 8 * 60);
  assert.equal(waits[at(1, 4)], 22 * 60);
  assert.ok(minutesToReboot([]).every((wait) => wait === 0));
  assert.ok(minutesToReboot(windows('00:00-24:00')).every((wait) => wait === 0));
});
