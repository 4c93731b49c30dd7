/** What can be wrong with a partition table although its CRCs are right. */
import { quote, type LintFinding } from '../errors.ts';
import type { GptPartition } from './gpt-entries.ts';
import type { GptHeader } from './gpt-header.ts';

const PARTITION_TABLE_OFFSET = 446;
const MBR_ENTRY_BYTES = 16;
const MBR_ENTRIES = 4;
const PROTECTIVE_TYPE = 0xee;
const BUILD_AGAIN = 'correct the partition plan, and build the image again';
/** A table that is wrong everywhere is no longer a list for people. */
const FINDINGS_MAX = 20;

/** True for a first sector that says to tools of old: this disk has a table that you do not know. */
export function isProtectiveMbr(sector: Uint8Array): boolean {
  const types = Array.from({ length: MBR_ENTRIES }, (_, index) => sector[PARTITION_TABLE_OFFSET + index * MBR_ENTRY_BYTES + 4]);
  return sector[510] === 0x55 && sector[511] === 0xaa && types.includes(PROTECTIVE_TYPE);
}

/** @param sector the first one of the disk */
export function protectiveMbrFindings(sector: Uint8Array): readonly LintFinding[] {
  if (isProtectiveMbr(sector)) return [];
  return [finding('gpt-no-mbr', 'sector 0', 'there is no protective MBR; expected one, without which Linux does not look for the table')];
}

export function layoutFindings(header: GptHeader, partitions: readonly GptPartition[], diskBytes: number): readonly LintFinding[] {
  const diskSectors = Math.floor(diskBytes / header.sectorBytes);
  return [
    ...tableFindings(header, diskSectors),
    ...partitions.flatMap((partition) => placeFindings(partition, header, diskSectors)),
    ...overlapFindings(partitions),
    ...duplicateFindings(partitions),
  ].slice(0, FINDINGS_MAX);
}

function tableFindings(header: GptHeader, diskSectors: number): readonly LintFinding[] {
  const { firstUsableSector, lastUsableSector, sector, otherSector, entriesSector } = header;
  const last = Math.max(sector, otherSector);
  const findings: LintFinding[] = [];
  const entriesEnd = entriesSector + Math.ceil((header.entries * header.entryBytes) / header.sectorBytes) - 1;
  const isInside = (from: number, to: number): boolean => to >= firstUsableSector && from <= lastUsableSector;
  if (lastUsableSector < firstUsableSector || isInside(entriesSector, entriesEnd) || isInside(sector, sector) || isInside(last, last)) {
    const range = `sectors ${firstUsableSector} to ${lastUsableSector}`;
    findings.push(finding('gpt-bad-range', 'header', `partitions may use ${range}; expected a range beside the table itself`));
  }
  if (last < diskSectors - 1) {
    const message = `the backup table is in sector ${last}; expected the last one, ${diskSectors - 1}`;
    findings.push({ rule: 'gpt-backup-place', severity: 'warning', at: 'header', message, fix: 'sgdisk --move-second-header DISK' });
  }
  return findings;
}

function placeFindings({ number, firstSector, lastSector }: GptPartition, header: GptHeader, diskSectors: number): readonly LintFinding[] {
  const { firstUsableSector, lastUsableSector } = header;
  const at = `partition ${number}`;
  const place = `it has sectors ${firstSector} to ${lastSector}`;
  if (lastSector >= diskSectors)
    return [finding('gpt-beyond-disk', at, `${place}; expected its end before that of the disk, ${diskSectors}`)];
  if (firstSector >= firstUsableSector && lastSector <= lastUsableSector) return [];
  return [finding('gpt-outside', at, `${place}; expected them within ${firstUsableSector} to ${lastUsableSector}`)];
}

function overlapFindings(partitions: readonly GptPartition[]): readonly LintFinding[] {
  const findings: LintFinding[] = [];
  let furthest: GptPartition | undefined;
  for (const partition of partitions.toSorted((a, b) => a.firstSector - b.firstSector)) {
    if (furthest !== undefined && partition.firstSector <= furthest.lastSector) {
      const message = `it begins in sector ${partition.firstSector}; expected it behind partition ${furthest.number}, which ends in ${furthest.lastSector}`;
      findings.push(finding('gpt-overlap', `partition ${partition.number}`, message));
    }
    if (furthest === undefined || partition.lastSector > furthest.lastSector) furthest = partition;
  }
  return findings;
}

function duplicateFindings(partitions: readonly GptPartition[]): readonly LintFinding[] {
  const seen = new Map<string, number>();
  return partitions.flatMap(({ number, guid }) => {
    const first = seen.get(guid);
    if (first === undefined) seen.set(guid, number);
    return first === undefined
      ? []
      : [finding('gpt-same-guid', `partition ${number}`, `its GUID ${quote(guid)} is that of partition ${first}`)];
  });
}

function finding(rule: string, at: string, message: string): LintFinding {
  return { rule, severity: 'error', at, message, fix: BUILD_AGAIN };
}
