import type { Collection, Collector } from '../../lib/publish/gc/collect.ts';
import type { Candidate, Decision } from '../../lib/publish/gc/decide.ts';
import type { Context } from '../context.ts';
import { dryRunOption, isSet, storeOption, textOption } from '../options.ts';
import type { CommandSpec, OptionValues, Outcome } from '../program.ts';
import { openWorkspaceSession } from '../session.ts';
import type { Asked } from '../ui/garbage.ts';
import { count, formatBytes, shellWord } from '../ui/format.ts';

const DEFAULT_GRACE = '7 days';
const NOTE_EVERY = 10_000;

export const gc: CommandSpec = {
  name: 'gc',
  summary: 'remove from the store what nobody needs any more',
  description:
    'Shows what would go, and changes nothing without --yes. With it, what nobody needs is marked; what was marked a grace ago and is still needed by nobody is removed. Publishers may go on meanwhile. Roots, what any repository below the store names, and what was live less than a grace ago stay.',
  options: [
    { flags: '--grace <time>', description: 'how long what nobody needs stays: an hour at least', default: DEFAULT_GRACE },
    { flags: '--why <text>', description: 'say why objects with this text in their path stay or go, and change nothing' },
    { flags: '--single-writer', description: 'for a store that does not keep conditional writes: nobody may publish meanwhile' },
    storeOption,
    dryRunOption,
  ],
  examples: ['gantry gc', 'gantry gc --yes', 'gantry gc --yes --grace "2 weeks" --json', 'gantry gc --why 1.2.0-root'],
  async run(context, _, options) {
    const { workspace, store } = await openWorkspaceSession(context, options);
    const { parseOffset } = await import('../../lib/release/duration.ts');
    const { openCollector } = await import('../../lib/publish/gc/open.ts');
    const { planCollection } = await import('../../lib/publish/gc/collect.ts');
    const graceMs = parseOffset(textOption(options, 'grace') ?? DEFAULT_GRACE) * 1000;
    const clock = (): Date => new Date();
    const hooks = { graceMs, clock, signal: context.signal, ...listingNotes(context) };
    const collector = await openCollector(workspace, store, hooks);
    const decision = await planCollection(collector);
    const why = textOption(options, 'why');
    const asked = { store: store.description, graceMs, ...typedOptions(options) };
    if (why !== undefined) return explain(collector, decision, why);
    if (!isSet(options, 'yes') || isSet(options, 'dryRun')) return rehearse(asked, decision);
    const { provenStore } = await import('../../lib/publish/proven.ts');
    const proven = await provenStore(workspace, store, {
      now: context.now,
      writers: isSet(options, 'singleWriter') ? 'single' : 'several',
      signal: context.signal,
      onProbe: () => context.note('Looking whether this store keeps conditional writes; it is remembered for a week.'),
    });
    return collect(context, await openCollector(workspace, proven, hooks), decision, asked);
  },
};

/** The grace as it was typed, and the command that does what was shown. */
function typedOptions(options: OptionValues): Pick<Asked, 'grace' | 'command'> {
  const grace = textOption(options, 'grace') ?? DEFAULT_GRACE;
  const store = textOption(options, 'store');
  const words = [
    'gantry gc --yes',
    ...(grace === DEFAULT_GRACE ? [] : [`--grace ${shellWord(grace)}`]),
    ...(store === undefined ? [] : [`--store ${shellWord(store)}`]),
    ...(isSet(options, 'singleWriter') ? ['--single-writer'] : []),
  ];
  return { grace, command: words.join(' ') };
}

function listingNotes(context: Context): { readonly onListed: (objects: number) => void } {
  return {
    onListed(objects) {
      if (objects % NOTE_EVERY === 0) context.note(`${count(objects, 'object')} listed so far …`);
    },
  };
}

async function explain({ graceMs }: Collector, decision: Decision, text: string): Promise<Outcome> {
  const { fatesOf } = await import('../../lib/publish/gc/explain.ts');
  const { describeFates } = await import('../ui/garbage.ts');
  const objects = fatesOf(decision, text, graceMs);
  return { json: { dryRun: true, why: text, objects }, lines: describeFates(objects, text) };
}

async function rehearse(asked: Asked, decision: Decision): Promise<Outcome> {
  const { describeDecision } = await import('../ui/garbage.ts');
  const { mark, remove, waiting, abandon, kept } = decision;
  const json = {
    dryRun: true,
    store: asked.store,
    graceSeconds: asked.graceMs / 1000,
    mark: mark.map(jsonOf),
    remove: remove.map(jsonOf),
    waiting: waiting.map((one) => ({ ...jsonOf(one), marked: one.mark.at.toISOString() })),
    abandon: abandon.map(({ path, begun }) => ({ path, begun: begun.toISOString() })),
    kept: { objects: kept.length, bytes: bytesOf(kept) },
  };
  return { json, lines: describeDecision(decision, asked) };
}

async function collect(context: Context, collector: Collector, decision: Decision, asked: Asked): Promise<Outcome> {
  const { collectGarbage } = await import('../../lib/publish/gc/collect.ts');
  const { describeCollection } = await import('../ui/garbage.ts');
  const label = `Removing ${count(decision.remove.length, 'object')}`;
  const bar = decision.remove.length === 0 ? undefined : context.progress({ label, totalBytes: bytesOf(decision.remove) });
  let bytes = 0;
  const done = await collectGarbage(
    {
      ...collector,
      onMarked(marked) {
        if (marked % NOTE_EVERY === 0) context.note(`${count(marked, 'object')} marked so far …`);
      },
      onRemoved({ object }) {
        bytes += object.lengthBytes;
        bar?.at(bytes);
      },
    },
    decision,
  ).catch((error: unknown) => {
    bar?.fail();
    throw error;
  });
  bar?.done(`${count(done.removed.length, 'object')}, ${formatBytes(bytes)}`);
  return {
    json: jsonOfCollection(asked, decision, done),
    lines: describeCollection(decision, done, { ...asked, marked: collector.clock() }),
  };
}

function jsonOfCollection({ store, graceMs }: Asked, { waiting, kept }: Decision, done: Collection): object {
  return {
    store,
    graceSeconds: graceMs / 1000,
    marked: done.marked.map(jsonOf),
    removed: done.removed.map(jsonOf),
    removedBytes: bytesOf(done.removed),
    spared: done.spared.map(jsonOf),
    waiting: waiting.length,
    abandoned: done.abandoned.map(({ path, begun }) => ({ path, begun: begun.toISOString() })),
    kept: { objects: kept.length, bytes: bytesOf(kept) },
  };
}

function jsonOf({ object, kind, why }: Candidate): object {
  return { path: object.path, lengthBytes: object.lengthBytes, kind, why };
}

function bytesOf(items: readonly { readonly object: { readonly lengthBytes: number } }[]): number {
  return items.reduce((sum, { object }) => sum + object.lengthBytes, 0);
}
