/** What the shell is told. A code of the library belongs to a family, and some have a meaning of their own. */
import type { ErrorCode } from '../lib/errors.ts';

export const EXIT = {
  done: 0,
  refused: 1,
  usage: 2,
  input: 3,
  network: 4,
  conflict: 5,
  machine: 6,
  due: 10,
  overdue: 11,
  interrupted: 130,
} as const;

type Family = ErrorCode extends infer C ? (C extends `${infer F}/${string}` ? F : C) : never;

const FAMILIES: Readonly<Record<Family, number>> = {
  aborted: EXIT.interrupted,
  client: EXIT.refused,
  files: EXIT.machine,
  http: EXIT.network,
  image: EXIT.input,
  keys: EXIT.input,
  publish: EXIT.conflict,
  release: EXIT.input,
  repository: EXIT.input,
  server: EXIT.machine,
  store: EXIT.network,
  tuf: EXIT.refused,
  usage: EXIT.usage,
  workspace: EXIT.input,
};

const EXCEPTIONS: Readonly<Partial<Record<ErrorCode, number>>> = {
  'client/bad-root': EXIT.input,
  'client/target-unknown': EXIT.input,
  'files/changed': EXIT.input,
  'files/exposed': EXIT.input,
  'files/missing': EXIT.input,
  'files/not-readable': EXIT.input,
  'http/bad-setting': EXIT.input,
  'http/bad-url': EXIT.input,
  'image/bad-frame': EXIT.refused,
  'image/bad-frame-table': EXIT.refused,
  'image/bad-lz4': EXIT.refused,
  'image/bad-zstd': EXIT.refused,
  'image/too-long': EXIT.refused,
  'image/worker-died': EXIT.machine,
  'keys/bad-signature': EXIT.refused,
  'keys/credentials': EXIT.network,
  'keys/denied': EXIT.network,
  'keys/no-answer': EXIT.network,
  'publish/bad-plan': EXIT.input,
  'publish/foreign-objects': EXIT.input,
  'publish/expired': EXIT.input,
  'publish/no-manifest': EXIT.refused,
  'publish/nothing': EXIT.input,
  'publish/not-visible': EXIT.refused,
  'publish/rolled-back': EXIT.refused,
  // Signing and publishing once more, which is what a conflict asks for, would not help.
  'publish/too-late': EXIT.input,
  'publish/target-differs': EXIT.refused,
  'publish/target-lost': EXIT.refused,
  'publish/unverified': EXIT.refused,
  'publish/wrong-url': EXIT.input,
  'release/bad-manifest': EXIT.refused,
  'repository/mismatch': EXIT.refused,
  'repository/moved-on': EXIT.conflict,
  'repository/rollback': EXIT.refused,
  'repository/root-chain': EXIT.refused,
  'repository/root-transition': EXIT.refused,
  'repository/unexplained': EXIT.refused,
  'server/not-a-store': EXIT.input,
  'store/bad-path': EXIT.input,
  'store/conflict': EXIT.conflict,
  'store/source-changed': EXIT.input,
  'tuf/bad-target-path': EXIT.input,
  'tuf/key-unsupported': EXIT.input,
  'tuf/not-portable': EXIT.input,
};

export function exitCodeOf(code: ErrorCode): number {
  const [family = 'usage'] = code.split('/');
  // Proof: the part in front of the slash is a family, or the code has no slash and is one.
  return EXCEPTIONS[code] ?? FAMILIES[family as Family];
}
