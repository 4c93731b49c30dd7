/** Text of a fixed size in a superblock: UTF-8, up to the first zero. */
export function paddedText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end === -1 ? bytes : bytes.subarray(0, end)).toString('utf8');
}
