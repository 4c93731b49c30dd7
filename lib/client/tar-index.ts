/**
 * What lies where in a tar file, from its headers alone: file contents are skipped, so gigabytes of images are indexed with a few
 * small reads for each entry.
 *
 * Read is what `gantry bundle create` writes: POSIX.1-2001 (ustar, with a pax header before names that are too long for it). What has
 * no place in a bundle is refused, because nobody honest wrote it: links, devices, folders, sparse files, GNU's own types, global pax
 * headers, names that lead out or appear twice, sizes beyond the end of the file, and anything behind the end of the archive but zeros.
 *
 * Time and memory are bounded by the limits below, whatever the file says.
 */
import { GantryError, quote } from '../errors.ts';

/** Entries of one file; a repository of 100,000 targets in 16,384 bins, and room. */
const MAX_ENTRIES = 200_000;
/** All names together. */
const MAX_NAMES_BYTES = 32 << 20;
const MAX_NAME_BYTES = 2048;
/** Of one pax header: a name, and a few words about it. */
const MAX_PAX_BYTES = 4096;
/** Other tools fill their last record up with zeros. */
const MAX_PADDING_BYTES = 1 << 20;
const BLOCK = 512;
const USTAR = Buffer.from('ustar\x0000', 'latin1');
const CHECKSUM_AT = 148;
const CHECKSUM_END = 156;
const FILE_TYPES: ReadonlySet<string> = new Set(['0', '\0']);
const TYPES: Readonly<Record<string, string>> = {
  '1': 'a hard link',
  '2': 'a symbolic link',
  '3': 'a character device',
  '4': 'a block device',
  '5': 'a folder',
  '6': 'a pipe',
  g: 'a global pax header',
  K: 'a long link of GNU tar',
  L: 'a long name of GNU tar',
  S: 'a sparse file of GNU tar',
};

export interface TarEntry {
  /** Where its content begins. */
  readonly offset: number;
  readonly lengthBytes: number;
}

/** The file, from anywhere in it; fewer bytes where it ends. */
export interface TarFile {
  readonly path: string;
  readonly lengthBytes: number;
  readAt(position: number, lengthBytes: number): Promise<Uint8Array>;
}

/** Files by name, in their order. @throws GantryError `client/bad-bundle`, and whatever `readAt` throws */
export async function indexTar(file: TarFile): Promise<ReadonlyMap<string, TarEntry>> {
  const entries = new Map<string, TarEntry>();
  let namesBytes = 0;
  let pax: Pax | undefined;
  let position = 0;
  for (;;) {
    const header = await readBlock(file, position);
    if (header.every((byte) => byte === 0)) break;
    const at = position;
    const { name, type, lengthBytes } = readHeader(file, header, at);
    const isPax: boolean = type === 'x';
    const size: number = isPax ? lengthBytes : (pax?.size ?? lengthBytes);
    const end: number = at + BLOCK + Math.ceil(size / BLOCK) * BLOCK;
    if (end > file.lengthBytes) throw bad(file, at, `an entry of ${size} bytes begins there, and the file ends before it does`);
    position = end;
    if (isPax) {
      if (pax !== undefined) throw bad(file, at, 'one pax header follows another');
      pax = await readPax(file, at, size);
      continue;
    }
    if (!FILE_TYPES.has(type)) throw bad(file, at, `${TYPES[type] ?? `an entry of the type ${quote(type)}`} is there; expected files only`);
    const full = checkedName(file, at, pax?.path ?? name);
    pax = undefined;
    if (entries.has(full)) throw bad(file, at, `${quote(full)} is there a second time`);
    namesBytes += Buffer.byteLength(full);
    if (entries.size >= MAX_ENTRIES || namesBytes > MAX_NAMES_BYTES) {
      throw bad(file, at, `it has more than ${MAX_ENTRIES} entries, or ${MAX_NAMES_BYTES} bytes of names`);
    }
    entries.set(full, { offset: at + BLOCK, lengthBytes: size });
  }
  if (pax !== undefined) throw bad(file, position, 'the archive ends behind a pax header');
  await checkEnd(file, position);
  return entries;
}

interface Header {
  readonly name: string;
  readonly type: string;
  readonly lengthBytes: number;
}

interface Pax {
  readonly path?: string;
  readonly size?: number;
}

async function readBlock(file: TarFile, position: number): Promise<Uint8Array> {
  const block = await file.readAt(position, BLOCK);
  if (block.length < BLOCK) throw bad(file, position, 'the file ends there, and the archive does not');
  return block;
}

function readHeader(file: TarFile, header: Uint8Array, at: number): Header {
  const block = Buffer.from(header.buffer, header.byteOffset, header.length);
  if (!block.subarray(257, 265).equals(USTAR)) throw bad(file, at, 'no header of a POSIX tar entry is there');
  let sum = 8 * ' '.charCodeAt(0);
  for (const [index, byte] of block.entries()) if (index < CHECKSUM_AT || index >= CHECKSUM_END) sum += byte;
  if (octalAt(file, block, at, CHECKSUM_AT, CHECKSUM_END) !== sum) throw bad(file, at, 'the checksum of the header there is wrong');
  const [name, prefix] = [textAt(block, 0, 100), textAt(block, 345, 500)];
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    type: block.toString('latin1', 156, 157),
    lengthBytes: sizeAt(file, block, at),
  };
}

/** Beyond 8 GiB the number is binary, with a mark in its first byte. */
function sizeAt(file: TarFile, block: Buffer, at: number): number {
  if (block[124] !== 0x80) return octalAt(file, block, at, 124, 136);
  const size = block.readBigUInt64BE(128);
  if (block.readUIntBE(125, 3) !== 0 || size > BigInt(Number.MAX_SAFE_INTEGER))
    throw bad(file, at, 'an entry of impossible size begins there');
  return Number(size);
}

function octalAt(file: TarFile, block: Buffer, at: number, start: number, end: number): number {
  const text = block.toString('latin1', start, end);
  const [, digits] = /^ *([0-7]+)[ \0]*$/u.exec(text) ?? [];
  if (digits === undefined) throw bad(file, at, `the header there has ${quote(text)} in the place of a number`);
  return Number.parseInt(digits, 8);
}

function textAt(block: Buffer, start: number, end: number): string {
  const zero = block.indexOf(0, start);
  return block.toString('utf8', start, zero === -1 || zero > end ? end : zero);
}

/** Records of `LENGTH KEY=VALUE\n`; only a name and a size are taken, other words say nothing of content. */
async function readPax(file: TarFile, at: number, size: number): Promise<Pax> {
  if (size > MAX_PAX_BYTES) throw bad(file, at, `a pax header of ${size} bytes is there; expected at most ${MAX_PAX_BYTES}`);
  const bytes = Buffer.from(await file.readAt(at + BLOCK, size));
  const found = new Map<string, string>();
  for (let start = 0; start < bytes.length;) {
    const blank = bytes.indexOf(' ', start);
    const digits = blank === -1 ? '' : bytes.toString('latin1', start, blank);
    const length = /^[1-9][0-9]{0,4}$/u.test(digits) ? Number(digits) : 0;
    const record = bytes.subarray(blank + 1, start + length);
    const equals = record.indexOf('=');
    if (length === 0 || start + length > bytes.length || record.at(-1) !== NEWLINE || equals < 1)
      throw bad(file, at, 'a damaged pax header is there');
    const [key, value] = [record.toString('utf8', 0, equals), record.toString('utf8', equals + 1, record.length - 1)];
    if (key.startsWith('GNU.sparse')) throw bad(file, at, `${TYPES['S']} is there; expected files only`);
    if (found.has(key)) throw bad(file, at, `a pax header says ${quote(key)} twice`);
    found.set(key, value);
    start += length;
  }
  const [path, stated] = [found.get('path'), found.get('size')];
  if (stated !== undefined && !/^[0-9]{1,15}$/u.test(stated)) throw bad(file, at, `a pax header gives ${quote(stated)} as a size`);
  return { ...(path === undefined ? {} : { path }), ...(stated === undefined ? {} : { size: Number(stated) }) };
}

const NEWLINE = '\n'.charCodeAt(0);
// The names of roles may be any text; what no file is called is refused.
// oxlint-disable-next-line no-control-regex
const UNSAFE = /[\u0000-\u001f\u007f\\\ufffd]/u;

function checkedName(file: TarFile, at: number, name: string): string {
  if (!isEntryName(name)) throw bad(file, at, `an entry is called ${quote(name)}; expected the name of a file below the archive`);
  return name;
}

/** Whether an entry may have this name. */
export function isEntryName(name: string): boolean {
  return (
    name !== '' &&
    Buffer.byteLength(name) <= MAX_NAME_BYTES &&
    !UNSAFE.test(name) &&
    name.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
  );
}

/** Two blocks of zeros end an archive, and nothing but zeros may follow. */
async function checkEnd(file: TarFile, position: number): Promise<void> {
  const left = file.lengthBytes - position;
  if (left < 2 * BLOCK) throw bad(file, position, 'the file ends there, and the archive does not');
  if (left > MAX_PADDING_BYTES)
    throw bad(file, position, `${left} bytes follow the end of the archive; expected at most ${MAX_PADDING_BYTES}`);
  const rest = await file.readAt(position, left);
  const stray = rest.findIndex((byte) => byte !== 0);
  if (stray !== -1) throw bad(file, position + stray, 'something follows the end of the archive');
}

function bad({ path }: TarFile, at: number, problem: string): GantryError {
  return new GantryError('client/bad-bundle', `Cannot use ${quote(path)} as a bundle: at byte ${at}, ${problem}`, { path, at: String(at) });
}
