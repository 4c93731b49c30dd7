/** A ceremony of 5 holders, threshold 3: the order in which signatures arrive makes no difference. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { mergeParcels } from '../../lib/publish/parcels.ts';
import { decodeParcel, encodeParcel, type Parcel } from '../../lib/repository/parcel.ts';
import { sha256Hex } from '../../lib/tuf/hash.ts';
import { arrangements, copyOf, draftFirst, HOLDERS, newCeremony, rootFile, signedFile, takeInOrder } from '../support/ceremony.ts';

test('signatures of any 3 of 5 holders give one root, in all 60 orders of arrival', async (t) => {
  const ceremony = await newCeremony(t);
  const { engineer } = ceremony;
  await draftFirst(ceremony);
  const sent = await rootFile(ceremony);
  const back = new Map<string, Uint8Array>();
  for (const holder of HOLDERS.slice(0, 5)) back.set(holder, await signedFile(ceremony, holder, sent));
  const roots = new Map<string, Set<string>>();
  for (const order of arrangements([...back.keys()], 3)) {
    const workspace = await copyOf(engineer.workspace, join(engineer.directory, 'copy'));
    const files = order.map((holder) => back.get(holder) ?? assert.fail());
    const root = sha256Hex(await takeInOrder(workspace, files, engineer.now));
    const who = order.toSorted().join();
    roots.set(who, (roots.get(who) ?? new Set()).add(root));
  }
  assert.equal(roots.size, 10);
  assert.deepEqual(
    [...roots.values()].map(({ size }) => size),
    Array.from({ length: 10 }, () => 1),
  );
});

test('files that went from holder to holder, and files that are merged first, give the same root', async (t) => {
  const ceremony = await newCeremony(t);
  const { engineer } = ceremony;
  await draftFirst(ceremony);
  const sent = await rootFile(ceremony);
  const found = new Set<string>();
  const take = async (file: Uint8Array): Promise<void> => {
    const workspace = await copyOf(engineer.workspace, join(engineer.directory, 'copy'));
    found.add(sha256Hex(await takeInOrder(workspace, [file], engineer.now)));
  };
  for (const order of arrangements(HOLDERS.slice(0, 3), 3)) {
    let file = sent;
    for (const holder of order) file = await signedFile(ceremony, holder, file);
    await take(file);
    const apart: Parcel[] = [];
    for (const holder of order) apart.push(decodeParcel(await signedFile(ceremony, holder, sent)));
    await take(encodeParcel(apart.reduce(mergeParcels)));
  }
  assert.equal(found.size, 1);
});
