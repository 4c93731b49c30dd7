/** Files that describe releases: the wave policies of a workspace (`policies/waves/NAME.toml`), and Release.toml. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { GantryError, isGantryError, quote } from '../errors.ts';
import { readWholeFile } from '../files/read.ts';
import { parseReleaseFile, type ReleaseFile } from '../release/release-file.ts';
import { parseWavePolicy, type WavePolicy } from '../release/wave-policy.ts';
import type { Workspace } from './workspace.ts';

const POLICY_MAX_BYTES = 1 << 20;

function folderOf({ directory }: Workspace): string {
  return join(directory, 'policies', 'waves');
}

/** @throws GantryError `workspace/no-policy` with those that there are; `release/bad-toml`, `release/bad-policy` */
export async function readWavePolicy(workspace: Workspace, name: string): Promise<WavePolicy> {
  const path = join(folderOf(workspace), `${name}.toml`);
  try {
    return parseWavePolicy(await readPolicyFile(path), path);
  } catch (error) {
    if (!isGantryError(error, 'files/missing')) throw error;
    const known = await policyNames(workspace);
    throw new GantryError(
      'workspace/no-policy',
      `Cannot find the wave policy ${quote(name)}: ${quote(path)} is not there; expected ${known.length === 0 ? 'a policy in that folder' : `one of ${known.join(', ')}`}`,
      { name, known },
      { cause: error },
    );
  }
}

export async function policyNames(workspace: Workspace): Promise<readonly string[]> {
  const names = await readdir(folderOf(workspace)).catch(() => []);
  return names.flatMap((name) => (name.endsWith('.toml') ? [name.slice(0, -'.toml'.length)] : [])).toSorted();
}

/** @throws GantryError `files/…`, `release/bad-toml`, `release/bad-release-file` */
export async function readReleaseFile(path: string): Promise<ReleaseFile> {
  return parseReleaseFile(await readPolicyFile(path), path);
}

/** @throws GantryError `files/missing`, `files/not-readable` */
export async function readPolicyFile(path: string): Promise<string> {
  return Buffer.from(await readWholeFile(path, { maxBytes: POLICY_MAX_BYTES })).toString('utf8');
}
