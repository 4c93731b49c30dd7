/** Whatever the bytes of a bundle are: only our errors, in bounded time, and nothing but signed bytes. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'node:test';
import { isGantryError } from '../../lib/errors.ts';
import { indexTar } from '../../lib/client/tar-index.ts';
import { bundleScene, IMAGE, RAW, tarOf } from '../support/bundle-scene.ts';
import { drain } from '../support/host.ts';
import { sealHeader, tarOf as pack } from '../support/tar.ts';

/** Long enough for thousands of mutants, short enough for every run. */
const BUDGET_MS = Number(process.env['GANTRY_FUZZ_MS'] ?? 4000);
const HONEST = pack(
  new Map([
    ['metadata/timestamp.json', Buffer.from('{}')],
    [`targets/${'d'.repeat(64)}.${'n'.repeat(80)}`, Buffer.alloc(1300, 1)],
    ['targets/x', Buffer.alloc(512, 2)],
  ]),
);

interface Mutation {
  readonly kind: 'flip' | 'set' | 'cut' | 'drop' | 'double' | 'swap' | 'text';
  readonly at: number;
  readonly value: number;
  readonly text: string;
  /** Whether the checksum of the header there is made right again: or hardly anything would get beyond it. */
  readonly seal: boolean;
}

const mutations: fc.Arbitrary<readonly Mutation[]> = fc.array(
  fc.record<Mutation>({
    kind: fc.constantFrom('flip', 'set', 'cut', 'drop', 'double', 'swap', 'text'),
    at: fc.nat(HONEST.length - 1),
    value: fc.nat(255),
    text: fc.constantFrom(
      '../',
      '/etc',
      '\0',
      '99999999999\0',
      '777777777777',
      '-1',
      'x',
      'L',
      'g',
      '30 path=../../../../etc/passwd\n',
      'size=',
      '\u{80}',
    ),
    seal: fc.boolean(),
  }),
  { minLength: 1, maxLength: 6 },
);

function mutated(bytes: Buffer, { kind, at, value, text, seal }: Mutation): Buffer {
  const place = bytes.length === 0 ? 0 : at % bytes.length;
  const block = place - (place % 512);
  const after = block + 512;
  const copy = Buffer.from(bytes);
  switch (kind) {
    case 'flip':
      if (copy.length > 0) copy[place] = (copy[place] ?? 0) ^ (1 << (value % 8));
      break;
    case 'set':
      if (copy.length > 0) copy[place] = value;
      break;
    case 'text':
      copy.write(text, place, 'latin1');
      break;
    case 'cut':
      return copy.subarray(0, place);
    case 'drop':
      return Buffer.concat([copy.subarray(0, block), copy.subarray(after)]);
    case 'double':
      return Buffer.concat([copy.subarray(0, after), copy.subarray(block)]);
    case 'swap':
      return Buffer.concat([copy.subarray(after), copy.subarray(0, after)]);
  }
  if (seal && after <= copy.length) sealHeader(copy.subarray(block, after));
  return copy;
}

async function index(bytes: Buffer): Promise<ReadonlyMap<string, { readonly offset: number; readonly lengthBytes: number }>> {
  return indexTar({
    path: 'x.tar',
    lengthBytes: bytes.length,
    readAt: async (position, length) => bytes.subarray(position, position + length),
  });
}

test('indexTar() gives files within the archive or throws client/bad-bundle, whatever the bytes are', async () => {
  let refused = 0;
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(mutations, async (list) => {
      const bytes = list.reduce(mutated, HONEST);
      try {
        for (const [name, { offset, lengthBytes }] of await index(bytes)) {
          assert.ok(!name.split('/').some((part) => ['', '.', '..'].includes(part)), name);
          assert.ok(offset % 512 === 0 && lengthBytes >= 0 && offset + lengthBytes <= bytes.length);
        }
        accepted += 1;
      } catch (error) {
        assert.ok(isGantryError(error, 'client/bad-bundle'), String(error));
        refused += 1;
      }
    }),
    { numRuns: 1_000_000, interruptAfterTimeLimit: BUDGET_MS, markInterruptAsFailure: false, verbose: 1 },
  );
  assert.ok(refused > 100 && accepted > 10, `${refused} refused, ${accepted} accepted`);
});

test('indexTar() throws client/bad-bundle for noise', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 4096 }), async (noise) => {
      if (noise.every((byte) => byte === 0)) return;
      await assert.rejects(index(Buffer.from(noise)), { code: 'client/bad-bundle' });
    }),
    { numRuns: 500 },
  );
});

test('a client hands out signed bytes or throws a GantryError, whatever became of its bundle', async (t) => {
  const { files, open } = await bundleScene(t);
  const honest = tarOf(files());
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ at: fc.double({ min: 0, max: 0.999, noNaN: true }), value: fc.nat(255) }), { minLength: 1, maxLength: 4 }),
      async (edits) => {
        const bytes = Buffer.from(honest);
        for (const { at, value } of edits) bytes[Math.floor(at * bytes.length)] = value;
        try {
          const client = await open(bytes);
          await client.refresh();
          assert.deepEqual(await drain(client.verifiedImageStream(await client.target(IMAGE))), RAW);
        } catch (error) {
          assert.ok(isGantryError(error), String(error));
        }
      },
    ),
    { numRuns: 10_000, interruptAfterTimeLimit: BUDGET_MS, markInterruptAsFailure: false },
  );
});
