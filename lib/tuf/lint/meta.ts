/** Rules 10 and 11: how timestamp and snapshot name the files below them. */
import { quote } from '../../errors.ts';
import { isSha256Hex } from '../hash.ts';
import { show } from '../portable-json.ts';
import type { MetaFile, SignedRole } from '../types.ts';
import { isObject, member, membersOf, unknownMembers, type Members, type Report } from './finding.ts';

export function lintTimestamp(role: Members, report: Report): void {
  lintMeta(role['meta'], 'timestamp.meta', report);
  const names = membersOf(role['meta']).map(([name]) => name);
  if (names.length !== 1 || names[0] !== 'snapshot.json') {
    report(
      11,
      'timestamp.meta',
      `it names ${names.map(quote).join(', ') || 'nothing'}; expected snapshot.json alone: tough and python-tuf refuse more`,
    );
  }
}

export function lintSnapshot(role: Members, report: Report): void {
  const { meta } = role;
  lintMeta(meta, 'snapshot.meta', report);
  const names = new Set(membersOf(meta).map(([name]) => name));
  if (!names.has('targets.json')) report(11, 'snapshot.meta', 'it does not name targets.json: every client refuses the snapshot');
  if (names.has('root.json')) report(11, 'snapshot.meta', 'it names root.json, which no client needs', 'warning');
}

function lintMeta(meta: unknown, at: string, report: Report): void {
  if (!isObject(meta)) report(11, at, `it is ${show(meta)}; expected an object of files: every client refuses the role`);
  for (const [name, entry] of membersOf(meta)) {
    const here = member(at, name);
    if (!isObject(entry)) {
      report(11, here, `it is ${show(entry)}; expected an object: every client refuses the role`);
      continue;
    }
    for (const needed of ['version', 'length', 'hashes']) {
      if (entry[needed] === undefined || entry[needed] === null) {
        report(11, here, `it has no ${needed}: tough before 0.18 refuses that, and null fails everywhere`);
      }
    }
    if (isObject(entry['hashes'])) lintHashes(entry['hashes'], `${here}.hashes`, report);
  }
}

export function lintHashes(hashes: unknown, at: string, report: Report): void {
  if (!isObject(hashes) || !isSha256Hex(hashes['sha256'])) {
    report(10, at, 'it has no sha256 of 64 lowercase hexadecimal digits: tough refuses the whole file');
    return;
  }
  const others = unknownMembers(hashes, ['sha256']);
  if (others.length > 0) report(10, at, `it has ${others.map(quote).join(', ')} beside sha256: clients look for different file names then`);
}

/** What a parent says of a file, compared with the file. */
export function lintMetaFile(entry: MetaFile, file: SignedRole, at: string, report: Report): void {
  const { version, length, hashes } = entry;
  const differs = (what: string, stated: unknown, found: unknown): void =>
    report(11, at, `it states the ${what} ${show(stated)}, and the file's is ${show(found)}: every client refuses the file`);
  if (version !== file.role.version) differs('version', version, file.role.version);
  if (length !== undefined && length !== file.lengthBytes) differs('length', length, file.lengthBytes);
  if (hashes !== undefined && hashes.sha256 !== file.sha256) differs('sha256', hashes.sha256, file.sha256);
}
