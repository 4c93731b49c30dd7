/**
 * How a URL is reached: over which pool of connections, through which proxy, with which certificates.
 *
 * Rules:
 * - what a server sends us to has connections of its own, and their addresses are public;
 * - through a proxy it is the proxy that looks names up: only an address that stands in the URL is judged here.
 */
import { X509Certificate } from 'node:crypto';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { LookupFunction } from 'node:net';
import { isPublicAddress, literalAddress, publicLookup } from './addresses.ts';
import { badSetting, privateRedirect } from './failures.ts';
import { proxyChooser, type ProxyOptions } from './proxy.ts';
import { TunnelAgent, type TlsOptions } from './tunnel.ts';

export interface RouteOptions extends ProxyOptions {
  /** PEM: the only authorities whose certificates are trusted, in the place of those that this machine knows. */
  readonly ca?: string | Uint8Array;
  /** PEM: shown to a server that asks who we are. */
  readonly clientCertificate?: { readonly cert: string; readonly key: string };
  /** How names become addresses; the system's way by default. */
  readonly lookup?: LookupFunction;
}

/** Who named a URL: we were told to use it, or a server sends us there. */
export type NamedBy = 'us' | 'server';

export interface Route {
  /** False for a connection of its own. */
  readonly agent: HttpAgent | HttpsAgent | false;
  readonly lookup?: LookupFunction;
  /** Where plain HTTP is sent in the place of the server, and whom to blame when a tunnel fails. */
  readonly proxy?: URL;
}

export interface Routes {
  /** @throws GantryError `http/redirected` for an address that is not public, `http/bad-setting` */
  to(url: URL, namedBy: NamedBy): Route;
  close(): void;
}

interface Pools {
  readonly http: HttpAgent;
  readonly https: HttpsAgent;
}

/** Proxies are ours to choose, also where Node is told to use those of the environment. */
const POOL = { keepAlive: true, proxyEnv: {} } as const;

export function createRoutes(options: RouteOptions): Routes {
  const tls = tlsOptions(options);
  const proxyFor = proxyChooser(options, process.env);
  const newPools = (): Pools => ({ http: new HttpAgent(POOL), https: new HttpsAgent({ ...tls, ...POOL }) });
  const pools: Readonly<Record<NamedBy, Pools>> = { us: newPools(), server: newPools() };
  const lookups = {
    us: options.lookup === undefined ? {} : { lookup: options.lookup },
    server: { lookup: publicLookup(options.lookup) },
  };
  const tunnels = new Map<string, TunnelAgent>();
  const tunnelThrough = (proxy: URL): TunnelAgent => {
    const known = tunnels.get(proxy.href);
    if (known !== undefined) return known;
    const tunnel = new TunnelAgent(proxy, tls);
    tunnels.set(proxy.href, tunnel);
    return tunnel;
  };
  return {
    to(url, namedBy) {
      const address = literalAddress(url);
      if (namedBy === 'server' && address !== undefined && !isPublicAddress(address)) throw privateRedirect(url, address);
      const secure = url.protocol === 'https:';
      const proxy = proxyFor(url);
      if (proxy === undefined) return { agent: secure ? pools[namedBy].https : pools[namedBy].http, ...lookups[namedBy] };
      return { agent: secure ? tunnelThrough(proxy) : proxy.protocol === 'https:' ? pools.us.https : pools.us.http, proxy };
    },
    close() {
      for (const agent of [...Object.values(pools).flatMap(({ http, https }) => [http, https]), ...tunnels.values()]) agent.destroy();
    },
  };
}

function tlsOptions({ ca, clientCertificate }: RouteOptions): TlsOptions {
  return { ...(ca === undefined ? {} : { ca: checkedAuthorities(ca) }), ...clientCertificate };
}

const CERTIFICATE = /-----BEGIN (?:TRUSTED )?CERTIFICATE-----[^-]*-----END (?:TRUSTED )?CERTIFICATE-----/gu;

/**
 * OpenSSL takes a file without any certificate for a list of none, and then trusts nobody without saying why.
 *
 * @throws GantryError `http/bad-setting`
 */
export function checkedAuthorities(pem: string | Uint8Array): string {
  const text = typeof pem === 'string' ? pem : Buffer.from(pem).toString('latin1');
  const certificates = text.match(CERTIFICATE) ?? [];
  const bad = (is: string, cause?: unknown): Error =>
    badSetting('ca', `Cannot use the certificates of authorities: ${is}; expected PEM with at least one certificate`, cause);
  if (certificates.length === 0) throw bad('there is none');
  try {
    for (const certificate of certificates) void new X509Certificate(certificate);
  } catch (error) {
    throw bad('one of them cannot be read', error);
  }
  return certificates.join('\n');
}
