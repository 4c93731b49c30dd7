/** Rules 1, 4, 8, 9, 11, 14, 16 and 19: what only shows when signatures, bytes and several files are at hand. */
import { quote } from '../../errors.ts';
import { verifySignature } from '../signature.ts';
import { signingPayload } from '../role.ts';
import type { KeyId, PublicKey, RoleKeys, Root, SignedRole, Snapshot, Targets, Timestamp, TopRoleName } from '../types.ts';
import { covers } from './delegations.ts';
import type { Report } from './finding.ts';

/** A delegated role as it is published. */
export interface DelegatedFile {
  readonly name: string;
  readonly file: SignedRole<Targets>;
}

export interface RepositoryFiles {
  /** In the order of their file names. */
  readonly roots: readonly SignedRole<Root>[];
  readonly timestamp?: SignedRole<Timestamp>;
  readonly snapshot?: SignedRole<Snapshot>;
  readonly targets?: SignedRole<Targets>;
  readonly delegated?: readonly DelegatedFile[];
}

/** The caps of the clients, in bytes. */
const MAX_BYTES: Readonly<Record<TopRoleName | 'delegated', number>> = {
  root: 512_000,
  timestamp: 16_384,
  snapshot: 1 << 20,
  targets: 10 << 20,
  delegated: 10 << 20,
};
/** python-tuf, tuf-js and go-tuf follow so many steps at most. */
const MAX_ROOT_STEPS = 256;

export function lintFiles(files: RepositoryFiles, report: Report): void {
  lintRootChain(files.roots, report);
  const root = files.roots.at(-1)?.role;
  if (root === undefined) return;
  for (const name of ['timestamp', 'snapshot', 'targets'] as const) {
    const file = files[name];
    if (file !== undefined) lintSignatures(file, name, { keys: root.keys, roleKeys: root.roles[name] }, report);
  }
  for (const file of [...files.roots, files.timestamp, files.snapshot, files.targets]) {
    if (file !== undefined) lintSize(file, file.role._type, MAX_BYTES[file.role._type], report);
  }
  if (files.targets !== undefined) lintTree(files.targets, files, report);
}

function lintRootChain(roots: readonly SignedRole<Root>[], report: Report): void {
  roots.forEach((root, index) => {
    lintSignatures(root, 'root', { keys: root.role.keys, roleKeys: root.role.roles.root }, report, roots[index - 1]?.role);
    const previous = roots[index - 1]?.role.version;
    if (previous !== undefined && root.role.version !== previous + 1) {
      report(4, 'root.version', `root ${root.role.version} follows root ${previous}; expected ${previous + 1}`);
    }
  });
  const [first] = roots;
  if (first !== undefined && first.role.version !== 1) {
    report(
      16,
      'root',
      `the oldest root is ${first.role.version}; expected every root since 1: a host that starts from an older one is stranded`,
    );
  }
  if (roots.length > MAX_ROOT_STEPS) report(19, 'root', `the chain has ${roots.length} roots; clients follow ${MAX_ROOT_STEPS} at most`);
}

interface Authority {
  readonly keys: Readonly<Record<KeyId, PublicKey>>;
  readonly roleKeys: RoleKeys;
}

function lintSignatures(file: SignedRole, name: string, authority: Authority, report: Report, previous?: Root): void {
  const at = `${name}.signatures`;
  const listed = new Set([...authority.roleKeys.keyids, ...(previous?.roles.root.keyids ?? [])]);
  const seen = new Set<KeyId>();
  const payload = signingPayload(file.role);
  for (const signature of file.signatures) {
    const { keyid, sig } = signature;
    const short = `${keyid.slice(0, 12)}…`;
    if (seen.has(keyid)) report(8, at, `key ${short} signed twice: go-tuf, python-tuf and tough refuse that`);
    seen.add(keyid);
    const key = authority.keys[keyid] ?? previous?.keys[keyid];
    if (!/^([0-9a-f]{2})+$/u.test(sig))
      report(8, at, `the signature of ${short} is not lowercase hexadecimal: go-tuf refuses the whole file`);
    else if (!listed.has(keyid) || key === undefined) report(8, at, `key ${short} is not listed for this role`);
    else if (!verifySignature(key, signature, payload)) {
      report(1, at, `the signature of ${short} does not verify over the canonical form (RSA: with salt length 32)`);
    }
  }
}

function lintSize(file: SignedRole, name: string, maxBytes: number, report: Report): void {
  if (file.lengthBytes > maxBytes) report(19, name, `the file has ${file.lengthBytes} bytes; clients read ${maxBytes} at most`);
}

/** Every delegated role is in the snapshot, has one parent, and lists only what was delegated to it. */
function lintTree(targets: SignedRole<Targets>, { snapshot, delegated = [] }: RepositoryFiles, report: Report): void {
  const parents = new Map<string, string>();
  for (const { name: parent, file } of [{ name: 'targets', file: targets }, ...delegated]) {
    if (parent !== 'targets') lintSize(file, parent, MAX_BYTES.delegated, report);
    for (const role of file.role.delegations?.roles ?? []) {
      const known = parents.get(role.name);
      if (known !== undefined) report(14, parent, `the role ${quote(role.name)} is delegated by ${quote(known)} too; expected one parent`);
      parents.set(role.name, parent);
      if (snapshot !== undefined && snapshot.role.meta[`${role.name}.json`] === undefined) {
        report(11, 'snapshot.meta', `it does not name ${quote(`${role.name}.json`)}: tough drops its siblings or refuses the load`);
      }
      const child = delegated.find(({ name }) => name === role.name);
      if (child === undefined || role.paths === undefined) continue;
      lintSignatures(child.file, role.name, { keys: file.role.delegations?.keys ?? {}, roleKeys: role }, report);
      for (const path of Object.keys(child.file.role.targets)) {
        if (!covers(role.paths, path))
          report(14, role.name, `it lists ${quote(path)}, outside of its paths: tough refuses the whole repository`);
      }
    }
  }
}
