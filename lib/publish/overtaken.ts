/** Who published what, and when: for whoever comes second. */
import { GantryError, named, type ErrorDetails } from '../errors.ts';
import { compareVersions } from '../release/version-order.ts';
import { tufDate } from '../tuf/date.ts';
import { namedKeys } from '../workspace/key-ring.ts';
import type { Workspace } from '../workspace/workspace.ts';
import type { LiveState } from './live-state.ts';

/** More releases than this are only counted. */
const MAX_RELEASES = 3;

type Conflict = ErrorDetails['publish/conflict'];

/** The conflict, told with what is live instead. */
export async function overtakenBy(
  workspace: Workspace,
  live: LiveState,
  conflict: Omit<Conflict, 'published'>,
  cause?: unknown,
): Promise<GantryError<'publish/conflict'>> {
  const { repository } = live;
  const published = await publishedBy(workspace, live);
  const happened = published === undefined ? `found ${conflict.found}; expected ${conflict.expected}` : describe(published);
  return new GantryError(
    'publish/conflict',
    `Cannot publish ${named(repository.variant)}/${named(repository.arch)}: the live repository is another one than this was planned from: ${happened}. ` +
      `Nothing that hosts see was changed`,
    { ...conflict, ...(published === undefined ? {} : { published }) },
    { cause },
  );
}

async function publishedBy(workspace: Workspace, { trusted, publishedAt }: LiveState): Promise<Conflict['published']> {
  if (trusted.published === undefined) return undefined;
  const { timestamp, targets } = trusted.published;
  const names = new Map((await namedKeys(workspace)).map(({ keyId, name }) => [keyId, name]));
  const signers = [...timestamp.signatures, ...targets.signatures].map(({ keyid }) => names.get(keyid) ?? keyid.slice(0, 12));
  const releases = trusted.manifest.updates.map(({ version }) => version).toSorted((a, b) => compareVersions(b, a));
  return {
    timestamp: timestamp.role.version,
    ...(publishedAt === undefined ? {} : { at: tufDate(publishedAt) }),
    signedBy: [...new Set(signers)],
    releases: [...new Set(releases)],
  };
}

function describe({ timestamp, at, signedBy, releases }: NonNullable<Conflict['published']>): string {
  const newest = releases.slice(0, MAX_RELEASES).map((version) => named(version));
  const more = releases.length > MAX_RELEASES ? ` and ${releases.length - MAX_RELEASES} more` : '';
  const offer = newest.length === 0 ? 'it offers nothing' : `it offers ${newest.join(', ')}${more}`;
  return `timestamp ${timestamp}${at === undefined ? '' : ` was written at ${at}`}, signed by ${signedBy.join(' and ')}; ${offer}`;
}
