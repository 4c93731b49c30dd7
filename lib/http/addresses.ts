/**
 * Which addresses belong to the public internet. A server that may send us elsewhere must not use us to reach what only we reach:
 * this machine, its network, the metadata service of its cloud.
 *
 * Rules:
 * - a name is judged by the addresses that the connection is made to, not by a look-up of its own before;
 * - an IPv4 address counts in each of its IPv6 clothes.
 */
import { lookup as dnsLookup, type LookupAddress, type LookupOptions } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { PrivateAddressError } from './failures.ts';

/** Of the special-purpose registries of IANA, those that are not reachable from everywhere. */
const PRIVATE_V4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
];
const PRIVATE_V6: readonly (readonly [string, number])[] = [
  // Among them: unspecified, loopback, and IPv4 as it was first embedded.
  ['::', 96],
  ['64:ff9b:1::', 48],
  ['100::', 64],
  // Teredo and 6to4 lead to an IPv4 address of the sender's choice.
  ['2001::', 32],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['fc00::', 7],
  ['fe80::', 9],
  ['ff00::', 8],
];

let blocked: BlockList | undefined;

function privateAddresses(): BlockList {
  if (blocked !== undefined) return blocked;
  blocked = new BlockList();
  for (const [net, bits] of PRIVATE_V6) blocked.addSubnet(net, bits, 'ipv6');
  for (const [net, bits] of PRIVATE_V4) {
    blocked.addSubnet(net, bits, 'ipv4');
    // Behind NAT64 every IPv4 address looks like this, so only those that are private are.
    blocked.addSubnet(`64:ff9b::${net}`, 96 + bits, 'ipv6');
    blocked.addSubnet(`::ffff:${net}`, 96 + bits, 'ipv6');
  }
  return blocked;
}

/** @param address IPv4 or IPv6, without brackets; anything else is no public address either */
export function isPublicAddress(address: string): boolean {
  const plain = address.split('%')[0] ?? '';
  const family = isIP(plain);
  return family !== 0 && !privateAddresses().check(plain, family === 4 ? 'ipv4' : 'ipv6');
}

/** The address that a URL names itself, without a look-up; undefined for a name. */
export function literalAddress(url: URL): string | undefined {
  const host = url.hostname.replace(/^\[(.*)\]$/u, '$1');
  return isIP(host) === 0 ? undefined : host;
}

/** The names of a system; only its public addresses. One private address among them is enough to refuse the name. */
export function publicLookup(lookup: LookupFunction = dnsLookup): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) {
        callback(error, '');
        return;
      }
      // A resolver that was given may answer with one address although it was asked for all.
      const addresses: readonly LookupAddress[] = typeof found === 'string' ? [{ address: found, family: isIP(found) }] : found;
      const refused = addresses.find(({ address }) => !isPublicAddress(address));
      const [first] = addresses;
      if (refused !== undefined) callback(new PrivateAddressError(refused.address), '');
      else if (wantsAll(options) || first === undefined) callback(null, [...addresses]);
      else callback(null, first.address, first.family);
    });
  };
}

function wantsAll(options: LookupOptions): boolean {
  return options.all === true;
}
