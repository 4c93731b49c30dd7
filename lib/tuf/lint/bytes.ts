/** Rules 18 and 19: what only the bytes of a file show. */
import { findFraction } from '../portable-json.ts';
import type { MetaFile, SignedRole, TopRoleName } from '../types.ts';
import type { Report } from './finding.ts';

type Kind = TopRoleName | 'delegated';

/** The caps of the clients in bytes, and whose they are. */
const CAPS: Readonly<Record<Kind, readonly [maxBytes: number, client: string]>> = {
  root: [512_000, 'tuf-js, python-tuf and go-tuf refuse more'],
  timestamp: [16_384, 'tuf-js, python-tuf and go-tuf refuse more'],
  snapshot: [1 << 20, 'tough refuses more'],
  // Every client takes the length that the snapshot gives.
  targets: [Number.POSITIVE_INFINITY, ''],
  delegated: [10 << 20, 'tough refuses more, whatever the snapshot says'],
};
const CAP_WITHOUT_LENGTH = [5_000_000, 'tuf-js, python-tuf and go-tuf refuse more where the snapshot gives no length'] as const;

/** @param entry what names the file in the snapshot, for targets and delegated roles */
export function lintBytes(file: SignedRole, name: string, kind: Kind, entry: MetaFile | undefined, report: Report): void {
  const hasLength = entry?.length !== undefined;
  const [maxBytes, client] = (kind === 'targets' || kind === 'delegated') && !hasLength ? CAP_WITHOUT_LENGTH : CAPS[kind];
  if (file.lengthBytes > maxBytes) report(19, name, `the file has ${file.lengthBytes} bytes; expected at most ${maxBytes}: ${client}`);
  const fraction = findFraction(file.bytes);
  if (fraction !== undefined) {
    report(18, name, `the number at byte ${fraction} has a fraction or an exponent: tough, python-tuf and go-tuf refuse even 1.0`);
  }
}
