/**
 * What a boot image says of the root image: the root hash of dm-verity on a kernel command line.
 *
 * Rules:
 * - the bytes are looked through as they are, wherever they lie: grub.cfg in a file system, a command line in a kernel image; what is
 *   compressed there, or built up from variables, is not found;
 * - a root hash counts where its meaning is plain: in a device-mapper table (`dm-mod.create=`, `kernel.dm-mod.create =` of a bootconfig,
 *   Chrome OS's `dm=`), behind `roothash=`, `usrhash=` or `root_hexdigest=`;
 * - elsewhere only the digits that are looked for count: that they are there says enough, and others may be digests of anything.
 */

/** What stands in one place. */
export interface StatedRoot {
  /** Hexadecimal digits, in lower case; not 64 of them when it is no SHA-256. */
  readonly rootHash: string;
  /** The other parameters of a device-mapper table. */
  readonly table?: {
    readonly dataBlockBytes: number;
    readonly hashBlockBytes: number;
    readonly dataBlocks: number;
    /** The block of the hash image where the tree begins. */
    readonly hashStart: number;
    readonly algorithm: string;
    /** Hexadecimal digits, in lower case; empty for none. */
    readonly salt: string;
  };
}

export interface RootHashes {
  readonly stated: readonly StatedRoot[];
  /** True when the wanted digits are there, wherever. */
  readonly isMentioned: boolean;
}

const HEX = '[0-9A-Fa-f]';
/** `verity 1 DATA HASH 4096 4096 BLOCKS 1 sha256 ROOT SALT`, with any devices. */
const TABLE = new RegExp(
  String.raw`\bverity [01] \S{1,200} \S{1,200} (\d{1,9}) (\d{1,9}) (\d{1,15}) (\d{1,15}) ([\w-]{1,40}) (${HEX}{32,128}) (-|${HEX}{2,512})(?=[^0-9A-Fa-f])`,
  'gu',
);
const NAMED = new RegExp(String.raw`\b(?:roothash|usrhash|root_hexdigest) ?= ?"?(${HEX}{32,128})(?=[^0-9A-Fa-f])`, 'gu');
/** Longer than any match. */
const OVERLAP = 2048;
/** A boot image has one or two. */
const FOUND_MAX = 64;

export class RootHashSearch {
  readonly #wanted: string | undefined;
  readonly #found = new Map<string, StatedRoot>();
  #tail = '';
  #isMentioned = false;

  /** @param wanted the digits that count anywhere */
  constructor(wanted: string | undefined) {
    this.#wanted = wanted;
  }

  /** Takes the next bytes of the boot image. */
  write(chunk: Uint8Array): void {
    const text = this.#tail + Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString('latin1');
    for (const [, ...parts] of text.matchAll(TABLE)) this.#keep(tableOf(parts));
    for (const [, rootHash = ''] of text.matchAll(NAMED)) this.#keep({ rootHash: rootHash.toLowerCase() });
    if (this.#wanted !== undefined && !this.#isMentioned) {
      this.#isMentioned = text.includes(this.#wanted) || text.includes(this.#wanted.toUpperCase());
    }
    this.#tail = text.slice(-OVERLAP);
  }

  end(): RootHashes {
    // What would have to end for a match ends here.
    this.write(Buffer.from('\n'));
    return { stated: [...this.#found.values()], isMentioned: this.#isMentioned };
  }

  #keep(stated: StatedRoot): void {
    if (this.#found.size < FOUND_MAX) this.#found.set(JSON.stringify(stated), stated);
  }
}

function tableOf([
  dataBlockBytes,
  hashBlockBytes,
  dataBlocks,
  hashStart,
  algorithm = '',
  rootHash = '',
  salt = '',
]: readonly string[]): StatedRoot {
  return {
    rootHash: rootHash.toLowerCase(),
    table: {
      dataBlockBytes: Number(dataBlockBytes),
      hashBlockBytes: Number(hashBlockBytes),
      dataBlocks: Number(dataBlocks),
      hashStart: Number(hashStart),
      algorithm,
      salt: salt === '-' ? '' : salt.toLowerCase(),
    },
  };
}
