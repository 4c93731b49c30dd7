/** What `gantry image info` shows of an image. */
import type { CompressionSample } from '../../lib/image/sample.ts';
import type { CompressedInfo } from '../../lib/workspace/compressed-info.ts';
import type { DiskInfo, PartitionInfo } from '../../lib/workspace/disk-info.ts';
import type { Held } from '../../lib/workspace/held.ts';
import type { ImageInfo } from '../../lib/workspace/image-info.ts';
import { describeFindings } from './findings.ts';
import { count, formatBytes, printable, wrapWords } from './format.ts';
import { shorten } from './progress.ts';
import { table } from './table.ts';

type Row = readonly [title: string, text: string];

const LABEL_CELLS = 12;
const LINE_CELLS = 80;
const NAME_CELLS = 23;
/** For a figure that can be imagined. */
const HOSTS = 1000;

export function describeImage(image: ImageInfo): readonly string[] {
  const { holds, findings } = image;
  const disk = holds?.kind === 'disk' ? holds.disk : undefined;
  const rows: readonly Row[] = [
    ['file', fileText(image)],
    ...(image.compressed === undefined ? [] : [['format', compressedText(image.compressed)] as const]),
    ...contentRows(image),
    ['sha256', image.sha256],
    ...(image.compressed === undefined ? [] : [['raw sha256', image.raw.sha256] as const]),
    ['compresses', sampleText(image.sample)],
    // A disk is not what hosts get.
    ...(holds?.kind === 'disk' ? [] : [['to ship', shippingText(image)] as const]),
  ];
  return [
    ...rows.map(([title, text]) => wrapWords(`${title.padEnd(LABEL_CELLS)} ${text}`, LINE_CELLS, ' '.repeat(LABEL_CELLS + 1))),
    ...(disk === undefined ? [] : ['', ...partitionLines(disk)]),
    ...(findings.length === 0 ? [] : ['', ...describeFindings(findings)]),
  ];
}

function fileText({ lengthBytes, allocatedBytes }: ImageInfo): string {
  const exact = `${formatBytes(lengthBytes)}, ${count(lengthBytes, 'byte')}`;
  return allocatedBytes < lengthBytes ? `${exact}; ${formatBytes(allocatedBytes)} on the disk: it has holes` : exact;
}

function compressedText(compressed: CompressedInfo): string {
  if (compressed.format === 'lz4') {
    const { blockBytes, blocks, contentBytes, contentChecksum, blockChecksums } = compressed;
    const has = (what: string, is: boolean): string => `${is ? 'with' : 'without'} ${what}`;
    const parts = [
      has('content size', contentBytes !== undefined),
      has('content checksum', contentChecksum),
      has('block checksums', blockChecksums),
    ];
    return `lz4, ${blocks} blocks of ${formatBytes(blockBytes)}, ${parts.join(', ')}`;
  }
  const { frames, skippableFrames, frameRawBytes, largestFrameBytes } = compressed;
  const of = frameRawBytes === undefined ? '' : ` of ${formatBytes(frameRawBytes)}`;
  const skippable = skippableFrames === 0 ? '' : `, ${count(skippableFrames, 'skippable frame')}`;
  return `zstd, ${count(frames, 'frame')}${of}, the largest ${formatBytes(largestFrameBytes)} compressed${skippable}`;
}

function contentRows({ compressed, raw, holds }: ImageInfo): readonly Row[] {
  const size: readonly Row[] =
    compressed === undefined ? [] : [['raw', `${formatBytes(raw.lengthBytes)}, ${count(raw.lengthBytes, 'byte')}`]];
  if (holds === undefined) return [...size, ['holds', 'nothing that is recognised']];
  if (holds.kind === 'disk') {
    if (holds.disk === undefined) {
      const text =
        compressed === undefined ? 'a disk, whose partition table cannot be read' : 'a disk; decompress it to see its partitions';
      return [...size, ['holds', text]];
    }
    const { gpt, partitions } = holds.disk;
    return [
      ...size,
      ['holds', `a disk with ${count(partitions.length, 'partition')}, GUID table, sectors of ${gpt.sectorBytes} bytes`],
      ['disk guid', gpt.diskGuid],
    ];
  }
  if (holds.kind === 'verity') {
    const { superblock, dataBytes, treeBytes } = holds;
    return [
      ...size,
      ['holds', `dm-verity hash tree of ${formatBytes(treeBytes)}, for an image of ${formatBytes(dataBytes)}`],
      ['salt', superblock.salt.length === 0 ? '-' : Buffer.from(superblock.salt).toString('hex')],
    ];
  }
  return [...size, ...fileSystemRows(holds)];
}

function fileSystemRows({ fileSystem }: Extract<Held, { readonly kind: 'file-system' }>): readonly Row[] {
  const { format, lengthBytes, blockBytes, label, uuid, freeBytes, compression } = fileSystem;
  const free = freeBytes === undefined ? '' : `, ${formatBytes(freeBytes)} free`;
  const packed =
    compression === undefined ? '' : compression.length === 0 ? ', not compressed' : `, compressed with ${compression.join(', ')}`;
  return [
    ['holds', `${format} of ${formatBytes(lengthBytes)}${free}, blocks of ${formatBytes(blockBytes)}${packed}`],
    ...(label === undefined || label === '' ? [] : [['label', printable(label)] as const]),
    ...(uuid === undefined ? [] : [['uuid', uuid] as const]),
  ];
}

function sampleText({ level, blocks, ofBlocks, rawBytes, compressedBytes }: CompressionSample): string {
  const share = `${formatShare(compressedBytes / rawBytes)} at level ${level}`;
  return blocks === ofBlocks ? `to ${share}, tried on all of it` : `to about ${share}, tried on ${blocks} of its ${ofBlocks} MiB`;
}

function formatShare(share: number): string {
  return `${(share * 100).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

function shippingText(image: ImageInfo): string {
  const bytes = estimateOf(image);
  return `about ${formatBytes(bytes)} for a host, ${formatBytes(bytes * HOSTS)} for ${HOSTS.toLocaleString('en')} hosts`;
}

/** As framed zstd, whatever the file is. */
function estimateOf({ raw, sample }: ImageInfo): number {
  return Math.round((raw.lengthBytes * sample.compressedBytes) / sample.rawBytes);
}

function partitionLines({ partitions }: DiskInfo): readonly string[] {
  const rows = partitions.map(({ partition, role, set, holds }) => [
    String(partition.number).padStart(3),
    shorten(printable(partition.name), NAME_CELLS),
    formatBytes(partition.position),
    formatBytes(partition.lengthBytes),
    role === undefined ? '-' : `${role}${set === undefined ? '' : ` ${set}`}`,
    holds === undefined ? '-' : heldText(holds),
  ]);
  return [...table(rows, { head: ['  #', 'name', 'start', 'size', 'role', 'holds'], right: [2, 3] }), ...flagLines(partitions)];
}

function heldText(held: Held): string {
  if (held.kind === 'verity') return `verity ${formatBytes(held.treeBytes)}`;
  return `${held.fileSystem.format} ${formatBytes(held.fileSystem.lengthBytes)}`;
}

function flagLines(partitions: readonly PartitionInfo[]): readonly string[] {
  const lines = partitions.flatMap(({ set, flags }) =>
    set === undefined || flags === undefined
      ? []
      : [
          `  set ${set}: priority ${flags.priority}, tries left ${flags.triesLeft}, ${flags.isSuccessful ? 'successful' : 'not successful'}`,
        ],
  );
  return lines.length === 0 ? [] : ['', 'What GRUB is told of the sets:', ...lines];
}

export function imageJson(image: ImageInfo): object {
  const { path, lengthBytes, allocatedBytes, sha256, compressed, raw, holds, sample } = image;
  return {
    file: path,
    format: compressed?.format ?? formatOf(holds),
    lengthBytes,
    allocatedBytes,
    sha256,
    ...(compressed === undefined ? {} : { compressed }),
    raw: { lengthBytes: raw.lengthBytes, sha256: raw.sha256, format: formatOf(holds), ...heldJson(holds) },
    sample,
    shipping: { estimatedBytes: estimateOf(image) },
  };
}

function formatOf(holds: ImageInfo['holds']): string {
  if (holds === undefined) return 'unknown';
  return holds.kind === 'file-system' ? holds.fileSystem.format : holds.kind;
}

function heldJson(holds: ImageInfo['holds']): object {
  if (holds === undefined) return {};
  if (holds.kind === 'disk') return holds.disk === undefined ? {} : { disk: diskJson(holds.disk) };
  if (holds.kind === 'verity') {
    const { superblock, dataBytes, treeBytes } = holds;
    return { verity: { salt: Buffer.from(superblock.salt).toString('hex'), uuid: superblock.uuid, dataBytes, treeBytes } };
  }
  const { format: _, ...fileSystem } = holds.fileSystem;
  return { fileSystem };
}

function diskJson({ gpt, partitions }: DiskInfo): object {
  return {
    guid: gpt.diskGuid,
    sectorBytes: gpt.sectorBytes,
    table: gpt.copy.which,
    partitions: partitions.map(({ partition, role, set, flags, holds }) => ({
      number: partition.number,
      name: partition.name,
      typeGuid: partition.typeGuid,
      guid: partition.guid,
      // 64 bits are more than a number of JSON holds everywhere.
      attributes: `0x${partition.attributes.toString(16).padStart(16, '0')}`,
      offset: partition.position,
      lengthBytes: partition.lengthBytes,
      ...(role === undefined ? {} : { role }),
      ...(set === undefined ? {} : { set }),
      ...(flags === undefined ? {} : { flags }),
      ...(holds === undefined ? {} : { format: formatOf(holds), ...heldJson(holds) }),
    })),
  };
}
