/** Tar files byte by byte, so that a test can make any of them wrong. */

export interface RawEntry {
  readonly name: string;
  readonly content?: Uint8Array | string;
  /** `0`, a file, by default. */
  readonly type?: string;
  readonly linkname?: string;
  /** What the header says; by default what is there. */
  readonly size?: number | string;
  /** Changes the header before its checksum is computed. */
  readonly change?: (header: Buffer) => void;
}

export const TAR_END: Buffer = Buffer.alloc(1024);

export function rawEntry({ name, content = '', type = '0', linkname = '', size, change }: RawEntry): Buffer {
  const bytes = Buffer.from(content);
  const header = Buffer.alloc(512);
  header.write(name, 0, 100);
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(typeof size === 'string' ? size : `${(size ?? bytes.length).toString(8).padStart(11, '0')}\0`, 124, 12, 'latin1');
  header.write('00000000000\0', 136);
  header.write(type, 156, 1, 'latin1');
  header.write(linkname, 157, 100);
  header.write('ustar\x0000', 257, 'latin1');
  change?.(header);
  sealHeader(header);
  return Buffer.concat([header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

export function sealHeader(header: Buffer): void {
  header.write('        ', 148);
  let sum = 0;
  for (const byte of header.subarray(0, 512)) sum += byte;
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
}

/** A pax header with these records, before the next entry. */
export function paxEntry(records: Readonly<Record<string, string>>, type = 'x'): Buffer {
  return rawEntry({
    name: 'PaxHeader',
    type,
    content: Object.entries(records)
      .map(([key, value]) => paxRecord(key, value))
      .join(''),
  });
}

export function paxRecord(key: string, value: string): string {
  const body = ` ${key}=${value}\n`;
  const length = Buffer.byteLength(body);
  let digits = String(length).length;
  while (String(length + digits).length !== digits) digits += 1;
  return `${length + digits}${body}`;
}

/** An archive of these files; a name that is too long has a pax header. */
export function tarOf(files: ReadonlyMap<string, Uint8Array>): Buffer {
  const parts = [...files].map(([name, content]) =>
    Buffer.byteLength(name) > 100
      ? Buffer.concat([paxEntry({ path: name }), rawEntry({ name: 'PaxFile', content })])
      : rawEntry({ name, content }),
  );
  return Buffer.concat([...parts, TAR_END]);
}
