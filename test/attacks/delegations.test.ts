/** Delegations: cycles, diamonds, roles that are not there, and what a delegated role has no right to say. */
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Delegations, Targets } from '../../lib/tuf/types.ts';
import { attacks, TEAM_TARGET } from '../support/attack.ts';
import { METADATA } from '../support/simulator.ts';
import { simulatedHost } from '../support/simulated-host.ts';
import { createWorld, newSigner } from '../support/tuf-world.ts';

const changing =
  (change: (delegations: Delegations) => object) =>
  (targets: Targets): object => ({ ...targets, delegations: targets.delegations === undefined ? undefined : change(targets.delegations) });

const AT_TARGETS = { code: 'client/untrusted', role: 'targets', kept: [1, 3, 3, 2, 2] } as const;

attacks('malformed delegations', {
  'a role with the name of a top role': {
    ...AT_TARGETS,
    attack: {
      targets: { signed: changing(({ roles, ...rest }) => ({ ...rest, roles: roles.map((role) => ({ ...role, name: 'root' })) })) },
    },
  },
  'a role that is named twice': {
    ...AT_TARGETS,
    attack: { targets: { signed: changing(({ roles, ...rest }) => ({ ...rest, roles: [...roles, ...roles] })) } },
  },
  'paths and hash prefixes at once': {
    ...AT_TARGETS,
    attack: {
      targets: {
        signed: changing(({ roles, ...rest }) => ({ ...rest, roles: roles.map((role) => ({ ...role, path_hash_prefixes: [''] })) })),
      },
    },
  },
  'a threshold of 0': {
    ...AT_TARGETS,
    attack: {
      targets: { signed: changing(({ roles, ...rest }) => ({ ...rest, roles: roles.map((role) => ({ ...role, threshold: 0 })) })) },
    },
  },
  'a key that is there twice': {
    ...AT_TARGETS,
    attack: {
      targets: {
        signed: changing(({ roles, ...rest }) => ({
          ...rest,
          roles: roles.map((role) => ({ ...role, keyids: [...role.keyids, ...role.keyids], threshold: 2 })),
        })),
      },
    },
  },
  'a role whose keys are missing': {
    attack: { targets: { signed: changing((delegations) => ({ ...delegations, keys: {} })) } },
    code: 'client/untrusted',
    role: 'team',
    kept: [1, 3, 3, 3, 2],
  },
  'a role that is not in the snapshot': {
    before: async ({ world }) => {
      await world.delegate('targets', { name: 'ghost', terminating: false, paths: ['*'] });
      world.role('targets').delegations = world.role('targets').delegations.toReversed();
    },
    attack: {
      snapshot: {
        signed: ({ meta, ...rest }) => ({ ...rest, meta: { 'targets.json': meta['targets.json'], 'team.json': meta['team.json'] } }),
      },
    },
    code: 'client/untrusted',
    kept: [1, 3, 3, 3, 2],
  },
  'a role that does not list what it should': {
    attack: async ({ world }) => {
      world.role('team').targets.clear();
      await world.publish();
    },
    code: 'client/target-unknown',
    kept: [1, 3, 3, 3, 3],
  },
  'a role that lost its paths': {
    attack: async ({ world }) => {
      world.role('targets').delegations = [{ name: 'team', terminating: false, paths: ['else*'] }];
      await world.publish();
    },
    code: 'client/target-unknown',
    kept: [1, 3, 3, 3, 2],
  },
  'a terminating role that stands in front': {
    attack: async ({ world }) => {
      await world.delegate('targets', { name: 'wall', terminating: true, paths: ['*'] });
      world.role('targets').delegations = world.role('targets').delegations.toReversed();
      await world.publish();
    },
    code: 'client/target-unknown',
    kept: [1, 3, 3, 3, 2],
  },
  'a cycle without an end': {
    attack: async ({ world }) => {
      world.role('team').targets.clear();
      await world.delegate('team', { name: 'other', terminating: false, paths: ['*'] });
      await world.delegate('other', { name: 'team', terminating: false, paths: ['*'] });
      await world.publish();
    },
    code: 'client/target-unknown',
    kept: [1, 3, 3, 3, 3],
  },
  'a chain of 100 roles': {
    attack: async ({ world }) => {
      world.role('team').targets.clear();
      for (let index = 0, parent = 'team'; index < 100; index += 1) {
        await world.delegate(parent, { name: `link${index}`, terminating: false, paths: ['*'] });
        parent = `link${index}`;
      }
      world.role('link99').targets.set(TEAM_TARGET, Buffer.from('far away'));
      await world.publish();
    },
    code: 'client/target-unknown',
    kept: [1, 3, 3, 3, 3],
  },
});

test('diamond: a role that one parent vouches for is verified again under the keys of another', async (t) => {
  const world = await createWorld();
  const thief = await newSigner();
  for (const name of ['left', 'right']) await world.delegate('targets', { name, terminating: false, paths: ['*'] });
  await world.delegate('left', { name: 'shared', terminating: false, paths: ['l*'] });
  await world.delegate('right', { name: 'shared', terminating: false, paths: ['r*'], keys: { keyids: [thief.keyId], threshold: 1 } });
  for (const path of ['l1', 'r1']) world.role('shared').targets.set(path, Buffer.from(path));
  await world.publish();
  const host = await simulatedHost(t, world);
  const client = await host.refreshed();
  await client.target('l1');
  await assert.rejects(client.target('r1'), { code: 'client/untrusted' });
  await client.target('l1');
});

const NAMES = [
  '../escape',
  '../../../../etc/passwd',
  '/etc/passwd',
  '..',
  '.',
  'a\\b',
  'a?b',
  'a#b',
  'a b',
  '%2e%2e%2f',
  '\u202eevil',
  'line\nbreak',
  '__proto__',
  'constructor',
  'x'.repeat(3000),
  '🦀',
];

for (const name of NAMES) {
  test(`hostile role name: ${JSON.stringify(name.slice(0, 30))} stays a name`, async (t) => {
    const world = await createWorld();
    await world.delegate('targets', { name, terminating: false, paths: ['odd.img'] });
    await world.delegate('targets', { name: 'plain', terminating: false, paths: ['plain.img'] });
    world.role(name).targets.set('odd.img', Buffer.from('odd'));
    world.role('plain').targets.set('plain.img', Buffer.from('plain'));
    await world.publish();
    const host = await simulatedHost(t, world);
    const client = await host.refreshed();
    const found = await client.target('odd.img').then(
      () => 'found',
      ({ code, message }: { code: string; message: string }) => {
        assert.doesNotMatch(message, /[\p{Cc}\u202e]/u);
        return code;
      },
    );
    // Some servers and clients have no file of this name.
    assert.ok(['found', 'client/untrusted', 'http/missing', 'http/status'].includes(found), found);
    await client.target('plain.img');
    assert.deepEqual((await readdir(host.directory)).toSorted(), ['state']);
    for (const file of await readdir(host.stateDirectory, { recursive: true }))
      assert.match(file, /^(?:[a-z-]+(?:\.[a-z]+){1,2}|delegated(?:\/[^/\\\s]+\.json)?)$/u);
    await (await host.refreshed()).target('plain.img');
  });
}

const TARGETS = [
  '../../etc/passwd',
  '/etc/passwd',
  '..',
  'a/../b',
  'a//b',
  '.hidden',
  'a\\b',
  'a b',
  'nul\u0000',
  '\u202eevil',
  'x'.repeat(3000),
  '__proto__',
  'constructor',
  'a/',
  '',
];

for (const path of TARGETS) {
  test(`hostile target name: ${JSON.stringify(path.slice(0, 30))} is refused, and the other targets are not`, async (t) => {
    const world = await createWorld();
    await world.publish({
      targets: {
        signed: (signed) => {
          const entry = { length: 1, hashes: { sha256: '00'.repeat(32) } };
          return { ...signed, targets: Object.fromEntries([...Object.entries(signed.targets), [path, entry], ['plain.img', entry]]) };
        },
      },
    });
    const host = await simulatedHost(t, world);
    const client = await host.refreshed();
    const usable = ['__proto__', 'constructor'].includes(path);
    if (usable) assert.equal((await client.target(path)).path.memberName(), path);
    else await assert.rejects(client.target(path), { code: 'tuf/bad-target-path' });
    assert.equal((await client.target('plain.img')).lengthBytes, 1);
    assert.deepEqual(
      client.targets().map((target) => target.path.memberName()),
      ['manifest.json', ...(usable ? [path] : []), 'plain.img'],
    );
    assert.equal(client.notices.length, usable ? 0 : 1);
    assert.doesNotMatch(client.notices.join(''), /[\p{Cc}\u202e]/u);
    assert.deepEqual(await readdir(host.directory), ['state']);
    assert.ok(!host.server.requests.some((asked) => !asked.startsWith(METADATA)));
  });
}

test('names that every object has are no targets', async (t) => {
  const host = await simulatedHost(t, await createWorld());
  const client = await host.refreshed();
  for (const path of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    await assert.rejects(client.target(path), { code: 'client/target-unknown' });
  }
  await client.download(await client.target('manifest.json'), join(host.directory, 'manifest.json'));
});
