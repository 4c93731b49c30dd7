/**
 * Which proxy a request goes through, as curl decides it.
 *
 * Rules:
 * - the variables are `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`; the lower-case name counts before the upper-case one;
 * - under CGI `HTTP_PROXY` is a header of the visitor's, and is ignored;
 * - `no_proxy` lists names, which stand for what is below them too, addresses and ranges of them, each with a port if that matters;
 * - a proxy's user and password are never shown.
 */
import { BlockList, isIP } from 'node:net';
import { badSetting, printableUrl } from './failures.ts';

export interface ProxyOptions {
  /** `environment` by default: as the variables say. A URL counts for http and https alike. */
  readonly proxy?: 'environment' | 'none' | URL;
  /** Where no proxy is used, as in the variable `no_proxy`; for a `proxy` that is a URL. */
  readonly noProxy?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_PORTS: Readonly<Record<string, string>> = { 'http:': '80', 'https:': '443' };

/** @returns what says which proxy a URL is asked through; undefined for none */
export function proxyChooser({ proxy = 'environment', noProxy }: ProxyOptions, environment: Environment): (url: URL) => URL | undefined {
  if (proxy === 'none') return () => undefined;
  const variable = (name: string): string | undefined => environment[name] || environment[name.toUpperCase()] || undefined;
  const fixed = proxy === 'environment' ? undefined : checkedProxy(proxy, 'proxy');
  const isExempt = exemptions((fixed === undefined ? variable('no_proxy') : noProxy) ?? '');
  return (url) => {
    if (isExempt(url)) return undefined;
    if (fixed !== undefined) return fixed;
    const name = url.protocol === 'https:' ? 'https_proxy' : 'http_proxy';
    const isCgi = name === 'http_proxy' && environment['REQUEST_METHOD'] !== undefined;
    const own = isCgi ? environment[name] || undefined : variable(name);
    return own === undefined ? fromVariable(variable('all_proxy'), 'all_proxy') : fromVariable(own, name);
  };
}

function fromVariable(text: string | undefined, name: string): URL | undefined {
  if (text === undefined) return undefined;
  const withScheme = text.includes('://') ? text : `http://${text}`;
  if (!URL.canParse(withScheme)) {
    throw badSetting(name, `Cannot use the proxy in the environment variable ${name}: it is no URL; expected http://HOST:PORT`);
  }
  return checkedProxy(new URL(withScheme), name);
}

function checkedProxy(proxy: URL, name: string): URL {
  if ((proxy.protocol === 'http:' || proxy.protocol === 'https:') && proxy.hostname !== '') return proxy;
  throw badSetting(name, `Cannot use the proxy ${printableUrl(proxy)}: its scheme is ${proxy.protocol}; expected http: or https:`);
}

/** `Basic …`, for the user and password in a URL; undefined where there are none. */
export function basicAuthorization({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined;
  return `Basic ${Buffer.from(`${decoded(username)}:${decoded(password)}`).toString('base64')}`;
}

export function withoutCredentials(url: URL): URL {
  const bare = new URL(url);
  bare.username = '';
  bare.password = '';
  return bare;
}

/** A stray per cent sign stands for itself. */
function decoded(text: string): string {
  return text.replaceAll(/(?:%[0-9a-f]{2})+/giu, (escaped) => {
    try {
      return decodeURIComponent(escaped);
    } catch {
      return escaped;
    }
  });
}

interface Exemption {
  readonly matches: (host: string) => boolean;
  /** Any when undefined. */
  readonly port?: string;
}

function exemptions(list: string): (url: URL) => boolean {
  const entries = list
    .split(/[\s,]+/u)
    .filter((entry) => entry !== '')
    .map(exemptionOf);
  return (url) => {
    const host = bareHost(url.hostname);
    const port = url.port === '' ? DEFAULT_PORTS[url.protocol] : url.port;
    return entries.some((entry) => (entry.port === undefined || entry.port === port) && entry.matches(host));
  };
}

function exemptionOf(entry: string): Exemption {
  if (entry === '*') return { matches: () => true };
  // `[::1]:8080`, `host:8080`, `10.0.0.0/8`, `fe80::/10`: of several colons without brackets none is a port.
  const [, host = entry, port] = /^(\[[^\]]*\]|[^:]*):([0-9]{1,5})$/u.exec(entry) ?? [];
  return { matches: hostMatcher(bareHost(host)), ...(port === undefined ? {} : { port }) };
}

function hostMatcher(pattern: string): (host: string) => boolean {
  const [net = '', bits] = pattern.split('/');
  const family = isIP(net);
  if (family === 0) {
    const name = pattern.replace(/^\*?\./u, '');
    return (host) => name !== '' && (host === name || (isIP(host) === 0 && host.endsWith(`.${name}`)));
  }
  const range = new BlockList();
  const most = family === 4 ? 32 : 128;
  const length = bits === undefined ? most : /^[0-9]{1,3}$/u.test(bits) ? Number(bits) : Number.NaN;
  // What cannot be read exempts nothing.
  if (!(length <= most)) return () => false;
  range.addSubnet(net, length, family === 4 ? 'ipv4' : 'ipv6');
  return (host) => isIP(host) === family && range.check(host, family === 4 ? 'ipv4' : 'ipv6');
}

/** Without brackets and without the dot of the root, in lower case. */
function bareHost(host: string): string {
  return host
    .toLowerCase()
    .replace(/^\[(.*)\]$/u, '$1')
    .replace(/\.$/u, '');
}
