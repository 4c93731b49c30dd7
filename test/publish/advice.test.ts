/** What is advised in every state of a workspace: the first action, and all of them where there are several. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GantryError } from '../../lib/errors.ts';
import { adviseOn, type Action } from '../../lib/publish/advice.ts';
import type { DraftStatus, RepositoryStatus, RoleStatus, Urgency } from '../../lib/publish/status.ts';
import type { TopRoleName, TufDate } from '../../lib/tuf/types.ts';

const DATE = '2026-06-08T12:00:00Z' as TufDate;
const METAL = { variant: 'metal', arch: 'x86_64' };
const CLOUD = { variant: 'cloud', arch: 'aarch64' };
const AT_HAND = { role: 'targets', version: 2, have: 0, need: 1, candidates: ['here'] };
const ELSEWHERE = { ...AT_HAND, candidates: ['elsewhere'] };

function live(urgencies: Partial<Record<TopRoleName, Urgency>> = {}, targetsKey = 'here'): readonly RoleStatus[] {
  return (['root', 'targets', 'snapshot', 'timestamp'] as const).map((role) => ({
    role,
    version: 1,
    expires: DATE,
    renewal: DATE,
    urgency: urgencies[role] ?? 'fine',
    signedBy: [],
    need: 1,
    // Proof: the advice only compares key ids.
    keyIds: [targetsKey] as unknown as RoleStatus['keyIds'],
  }));
}

const EMPTY: RepositoryStatus = { repository: METAL, live: [], rootsWaiting: 0, rootsMissing: [], findings: [], updates: [] };
const FINE: RepositoryStatus = { ...EMPTY, live: live() };
const DRAFT: DraftStatus = { missing: [], overtaken: false, expired: false, releases: ['1.1.0'], edits: true, late: [] };
const LATE = { kind: 'pause-waves', update: { ...METAL, version: '1.1.0' }, from: DATE, at: DATE } as const;
const BROKEN = new GantryError('publish/rolled-back', 'Cannot trust the store', { role: 'timestamp', published: 2, live: 1 });

type Standing = Parameters<typeof adviseOn>[0];

async function advise(standing: Partial<Standing>): Promise<readonly Action[]> {
  return adviseOn({ rootVersion: 1, repositories: [FINE], ...standing }, async (missing) =>
    missing.some(({ candidates }) => candidates.includes('here')),
  );
}

const due = (urgencies: Partial<Record<TopRoleName, Urgency>>, targetsKey?: string): RepositoryStatus => ({
  ...EMPTY,
  live: live(urgencies, targetsKey),
});
const drafted = (draft: Partial<DraftStatus>, one: RepositoryStatus = FINE): RepositoryStatus => ({
  ...one,
  draft: { ...DRAFT, ...draft },
});

const NO_ROOT = { rootVersion: undefined, repositories: [] } as unknown as Partial<Standing>;

const CASES: readonly (readonly [state: string, standing: Partial<Standing>, kinds: readonly string[]])[] = [
  ['no root', NO_ROOT, ['make-root']],
  ['a first root that a key at hand may sign', { ...NO_ROOT, rootMissing: [AT_HAND] }, ['sign']],
  ['a first root whose missing keys are elsewhere', { ...NO_ROOT, rootMissing: [ELSEWHERE] }, ['wait-for-signatures']],
  ['a drafted root that is complete', { rootMissing: [] }, ['sign']],
  ['a drafted root under a number that is taken', { rootStale: true }, ['cancel-draft']],
  ['a root and nothing published', { repositories: [EMPTY] }, ['add-release']],
  ['a first release that lacks signatures', { repositories: [drafted({ missing: [AT_HAND] }, EMPTY)] }, ['sign']],
  [
    'a first release whose missing keys are elsewhere',
    { repositories: [drafted({ missing: [ELSEWHERE] }, EMPTY)] },
    ['wait-for-signatures'],
  ],
  ['a first release that is complete', { repositories: [drafted({}, EMPTY)] }, ['publish']],
  ['everything published', {}, []],
  ['a new root beside what is published', { repositories: [{ ...FINE, rootsWaiting: 1 }] }, ['publish']],
  ['a timestamp that is due', { repositories: [due({ timestamp: 'due' })] }, ['refresh']],
  ['a timestamp that has expired', { repositories: [due({ timestamp: 'overdue' })] }, ['refresh']],
  ['targets due, its keys at hand', { repositories: [due({ targets: 'due' })] }, ['refresh']],
  ['targets alone due, its keys elsewhere', { repositories: [due({ targets: 'due' }, 'elsewhere')] }, ['refresh-elsewhere']],
  [
    'all due, the keys of targets elsewhere',
    { repositories: [due({ targets: 'due', timestamp: 'due' }, 'elsewhere')] },
    ['refresh', 'refresh-elsewhere'],
  ],
  ['a root that is due', { repositories: [due({ root: 'due' })] }, ['renew-root']],
  [
    'a root that has expired, with its timestamp',
    { repositories: [due({ root: 'overdue', timestamp: 'overdue' })] },
    ['renew-root', 'refresh'],
  ],
  ['a root that is due, the next one drafted', { rootMissing: [ELSEWHERE], repositories: [due({ root: 'due' })] }, ['wait-for-signatures']],
  ['a root that is due, the next one signed', { repositories: [{ ...due({ root: 'due' }), rootsWaiting: 1 }] }, ['publish']],
  [
    'a draft that somebody overtook, whatever signatures it lacks',
    { repositories: [drafted({ overtaken: true, missing: [ELSEWHERE] })] },
    ['sign'],
  ],
  ['a draft that expired before it was published', { repositories: [drafted({ expired: true })] }, ['sign']],
  ['a draft that fits no more', { repositories: [drafted({ overtaken: true, conflict: 'it is published' })] }, ['cancel-draft']],
  ['a pause that came too late', { repositories: [drafted({ late: [LATE], missing: [AT_HAND] })] }, ['steer-again']],
  [
    'a complete draft while the timestamp is due: publishing renews it',
    { repositories: [drafted({}, due({ timestamp: 'due' }))] },
    ['publish'],
  ],
  ['a hole in the root chain of the store', { repositories: [{ ...FINE, rootsMissing: [2] }] }, ['restore-root']],
  ['a hole in the root chain, and a draft', { repositories: [{ ...drafted({}), rootsMissing: [2] }] }, ['restore-root', 'publish']],
  [
    'a store that was rolled back, beside a repository that is due',
    {
      repositories: [
        { ...EMPTY, problem: BROKEN },
        { ...due({ timestamp: 'due' }), repository: CLOUD },
      ],
    },
    ['look', 'refresh'],
  ],
  [
    'one repository that waits for keys, one that is signed, one that is new',
    {
      repositories: [
        drafted({ missing: [ELSEWHERE] }),
        { ...drafted({}), repository: CLOUD },
        { ...EMPTY, repository: { variant: 'edge', arch: 'x86_64' } },
      ],
    },
    ['wait-for-signatures', 'publish', 'add-release'],
  ],
];

for (const [state, standing, kinds] of CASES) {
  test(`adviseOn() says ${kinds.length === 0 ? 'nothing' : kinds.join(', then ')}: ${state}`, async () => {
    const actions = await advise(standing);
    assert.deepEqual(
      actions.map(({ kind }) => kind),
      kinds,
    );
  });
}

test('adviseOn() names the repositories of an action, and says so when it is about all of them', async () => {
  const [publish] = await advise({
    repositories: [drafted({ missing: [ELSEWHERE] }), { ...drafted({}), repository: CLOUD }].slice().reverse(),
  });
  assert.equal(publish?.kind, 'wait-for-signatures');
  const both = await advise({ repositories: [due({ timestamp: 'overdue' }), { ...due({ timestamp: 'due' }), repository: CLOUD }] });
  assert.deepEqual(both, [{ kind: 'refresh', repositories: [METAL, CLOUD], ofAll: true, expired: true }]);
  const one = await advise({ repositories: [drafted({ missing: [ELSEWHERE] }), { ...drafted({}), repository: CLOUD }] });
  assert.deepEqual(one[1], { kind: 'publish', repositories: [CLOUD], ofAll: false });
});
