/** Identifiers of 16 bytes as text: `6b636168-7420-6568-2070-6c616e657421`. */

export const GUID_BYTES = 16;

/** As superblocks of Linux store it: in the order of the digits. */
export function formatUuid(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** As UEFI stores it: the first three groups are little-endian numbers. */
export function formatGuid(bytes: Uint8Array): string {
  const turned = Buffer.from(bytes);
  turned.subarray(0, 4).reverse();
  turned.subarray(4, 6).reverse();
  turned.subarray(6, 8).reverse();
  return formatUuid(turned);
}
