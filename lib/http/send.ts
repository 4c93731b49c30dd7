/**
 * One GET up to the header of its answer: nothing is tried again, followed or judged.
 *
 * Rules:
 * - the header as a whole has one deadline, connection, proxy and TLS included;
 * - credentials in a URL become a header, and go to the server that the URL names; those of a proxy to the proxy.
 */
import { get as httpGet, type ClientRequest, type IncomingMessage } from 'node:http';
import { get as httpsGet } from 'node:https';
import { GantryError } from '../errors.ts';
import { aborted, badScheme, noAnswer, proxyFailure, stalled } from './failures.ts';
import { basicAuthorization, withoutCredentials } from './proxy.ts';
import type { Route } from './routes.ts';
import type { TlsOptions, TunnelRequest } from './tunnel.ts';

export interface SendOptions {
  readonly route: Route;
  readonly headers: Readonly<Record<string, string>>;
  readonly idleTimeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** For a connection of its own: pools have theirs. */
  readonly tls?: TlsOptions & { readonly rejectUnauthorized?: boolean };
}

const AUTHENTICATION_REQUIRED = 407;

/**
 * @throws GantryError `http/bad-url`, `http/unreachable`, `http/proxy`, `http/certificate`, `http/interrupted`, `http/stalled`,
 * `http/too-long`, `http/redirected`, `aborted`
 */
export async function sendGet(url: URL, options: SendOptions): Promise<IncomingMessage> {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw badScheme(url);
  const { idleTimeoutMs, signal } = options;
  const { proxy } = options.route;
  if (signal?.aborted === true) throw aborted(signal);
  return new Promise((resolve, reject) => {
    const tunnel = new AbortController();
    const sent = start(url, options, { tunnelSignal: tunnel.signal });
    // A request that still waits for its tunnel says nothing when it is destroyed, so the promise and the tunnel are told too.
    const giveUp = (error: GantryError): void => {
      settled();
      sent.destroy(error);
      tunnel.abort(error);
      reject(error);
    };
    // A timer of our own, because a socket's begins only once it is connected, and starts again with every byte of a header.
    const timer = setTimeout(() => giveUp(stalled(url, idleTimeoutMs)), idleTimeoutMs);
    const onAbort = (): void => giveUp(aborted(signal));
    const settled = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    sent.once('response', (response) => {
      settled();
      if (proxy === undefined || response.statusCode !== AUTHENTICATION_REQUIRED) {
        resolve(response);
        return;
      }
      response.destroy();
      reject(proxyFailure(url, proxy, 'it wants another user and password (407)', AUTHENTICATION_REQUIRED));
    });
    sent.on('error', (error) => {
      settled();
      reject(error instanceof GantryError ? error : noAnswer(url, error, proxy));
    });
  });
}

function start(url: URL, { route, headers, signal, tls }: SendOptions, tunnel: TunnelRequest): ClientRequest {
  const { agent, lookup, proxy } = route;
  const authorization = basicAuthorization(url);
  const settings = {
    agent,
    headers: { ...headers, ...(authorization === undefined ? {} : { authorization }) },
    ...(signal === undefined ? {} : { signal }),
    ...(lookup === undefined ? {} : { lookup }),
  };
  const bare = withoutCredentials(url);
  if (url.protocol === 'https:') return httpsGet(bare, { ...settings, ...tls, ...tunnel });
  return proxy === undefined ? httpGet(bare, settings) : getThrough(proxy, bare, settings);
}

/** A plain request names its whole URL to the proxy. */
function getThrough(proxy: URL, url: URL, settings: Parameters<typeof httpGet>[1] & { headers: Record<string, string> }): ClientRequest {
  const authorization = basicAuthorization(proxy);
  const headers = {
    ...settings.headers,
    host: url.host,
    ...(authorization === undefined ? {} : { 'proxy-authorization': authorization }),
  };
  const path = `${url.origin}${url.pathname}${url.search}`;
  const get = proxy.protocol === 'https:' ? httpsGet : httpGet;
  return get(withoutCredentials(proxy), { ...settings, headers, path });
}
