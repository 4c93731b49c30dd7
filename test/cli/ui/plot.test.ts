import assert from 'node:assert/strict';
import { test } from 'node:test';
import { plotPng, plotSvg, type PlotOptions } from '../../../cli/ui/plot.ts';

const POINTS = [0, 1, 2, 3].map((x) => ({ x, share: x * 30, rate: x * 100 }));
const OPTIONS: PlotOptions = {
  title: 'default-waves <exact>, 10,000 hosts',
  lines: [
    { name: 'as intended', points: POINTS },
    { name: 'stock hosts', points: POINTS.map((point) => ({ ...point, share: point.x < 3 ? 20 : 100 })) },
  ],
  xTitle: 'days since the release starts',
  rateTitle: 'download rate (MB/s)',
};

/** WCAG's contrast of two colours such as `#0969da`. */
function contrast(a: string, b: string): number {
  const [light = 0, dark = 0] = [a, b]
    .map((colour) => {
      const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
        const value = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
        return value <= 0.040_45 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    })
    .toSorted((x, y) => y - x);
  return (light + 0.05) / (dark + 0.05);
}

test('plotSvg() names everything, with units', async () => {
  const svg = await plotSvg(OPTIONS);
  assert.match(svg, /^<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/u);
  assert.ok(svg.endsWith('</svg>'));
  for (const text of [
    'default-waves &lt;exact&gt;, 10,000 hosts',
    'as intended',
    'stock hosts',
    'share of the fleet (%)',
    'days since the release starts',
    'download rate (MB/s)',
  ]) {
    assert.ok(svg.includes(`>${text}</text>`), text);
  }
  assert.equal(svg.match(/class="mark-line role-mark/gu)?.length, 4, 'two curves in two panels');
  assert.equal(await plotSvg(OPTIONS), svg);
});

test('plotSvg() can be read on light and on dark backgrounds', async () => {
  const svg = await plotSvg(OPTIONS);
  const style = /<style>@media \(prefers-color-scheme:dark\)\{(.*)\}<\/style>/u.exec(svg)?.[1] ?? '';
  const dark = new Map(
    [...style.matchAll(/\[(?:fill|stroke)="(#\w{6})"\]\{(?:fill|stroke):(#\w{6})\}/gu)].map(([, from, to]) => [from, to]),
  );
  const drawn = svg.slice(svg.indexOf('</style>'));
  const used = new Set([...drawn.matchAll(/(?:fill|stroke)="(#\w+)"/gu)].map(([, colour]) => colour ?? ''));
  assert.match(drawn, /^<\/style><rect width="\d+" height="\d+" fill="#ffffff"\/>/u, 'it has a background of its own');
  const paper = dark.get('#ffffff') ?? '';
  assert.equal(contrast('#000000', '#ffffff'), 21);
  for (const colour of used) {
    const other = dark.get(colour);
    assert.ok(other !== undefined, `${colour} has no dark counterpart`);
    // The grid is meant to be faint, the paper is the paper.
    if (colour === '#ffffff' || colour === '#d8dee4') continue;
    assert.ok(contrast(colour, '#ffffff') >= 4.5, colour);
    assert.ok(contrast(other, paper) >= 4.5, other);
  }
  assert.equal(used.size, 5);
});

test('plotPng() makes an opaque picture, or says why it cannot', async (t) => {
  let png: Uint8Array;
  try {
    png = await plotPng(OPTIONS, 'fleet.png');
  } catch (error) {
    // A machine without fonts.
    assert.match(String(error), /Cannot use --plot "fleet\.png": this machine has no fonts.*; expected a file that ends with \.svg/u);
    t.skip('there are no fonts');
    return;
  }
  const view = Buffer.from(png);
  assert.equal(view.subarray(0, 8).toString('hex'), '89504e470d0a1a0a');
  assert.ok(view.readUInt32BE(16) > 1500 && view.readUInt32BE(20) > 900, 'large enough for a screen of today');
  assert.ok(png.length > 20_000);
});
