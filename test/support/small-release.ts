/**
 * Releases of a few bytes, drafted without images or compression: for tests that publish very often.
 *
 * Each is the only one of a variant of its own, by which it is known: it is never too old after the release of somebody else, and no
 * migration has to lead to it.
 */
import { draftFrom, offerAfter, type Change } from '../../lib/repository/draft.ts';
import { remainingChanges } from '../../lib/repository/draft-changes.ts';
import { readCurrent } from '../../lib/publish/live.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import { saveDraft } from '../../lib/workspace/draft-files.ts';
import { addObject } from '../../lib/workspace/objects.ts';
import { METAL, type Engineer } from './engineer.ts';

const VERSION = '1.0.0';

/** Adds a release to the draft that waits, or begins one, as `gantry release add` does. */
export async function draftSmallRelease(
  { workspace, store, now }: Pick<Engineer, 'workspace' | 'store' | 'now'>,
  variant: string,
): Promise<void> {
  const { live, draft } = await readCurrent(workspace, store, METAL);
  const earlier = remainingChanges(draft?.changes ?? [], offerAfter(live.trusted, []));
  const content = Buffer.from(`${variant}\n`);
  const file = { length: content.length, hashes: { sha256: sha256Hex(content) } };
  const name = (kind: string): string => `os-${variant}-x86_64-${VERSION}-${kind}.ext4.lz4`;
  const images = { boot: name('boot'), root: name('root'), hash: name('verity') };
  const changes: readonly Change[] = [
    ...earlier,
    ...Object.values(images).map((path): Change => ({ kind: 'put-target', path, file })),
    { kind: 'add-update', update: { variant, version: VERSION, arch: METAL.arch, images } },
  ];
  await addObject(workspace, chunk(content));
  await saveDraft(workspace, METAL, draftFrom(live.trusted, changes, { versions: live.versions, now, policy: workspace.expiry }));
}

async function* chunk(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}
