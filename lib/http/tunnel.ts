/**
 * Connections through a proxy (CONNECT), for the pool of an agent.
 *
 * Rules:
 * - giving up ends the connection to the proxy, whatever the proxy is doing: Node's own `proxyEnv` waits for it;
 * - the proxy sees a host and a port, and nothing of the request; TLS is spoken with the server behind it;
 * - a proxy that says more than its header before we speak is refused: those bytes would be taken for the server's.
 */
import { Agent, request as httpsRequest } from 'node:https';
import { request as httpRequest, type ClientRequestArgs, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { connect as tlsConnect, type ConnectionOptions } from 'node:tls';
import { ProxyError } from './failures.ts';
import { basicAuthorization, withoutCredentials } from './proxy.ts';

/** What we put beside the options of a request for the agent to find. */
export interface TunnelRequest {
  /** Fires when nobody waits for the tunnel any more. */
  readonly tunnelSignal?: AbortSignal;
}

export interface TlsOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** tinyproxy says 401. */
const WANTS_A_PASSWORD: ReadonlySet<number> = new Set([401, 407]);

type Connected = (error: Error | null, socket?: Duplex) => void;

/** An agent for https: whose connections go through one proxy. */
export class TunnelAgent extends Agent {
  readonly #proxy: URL;
  readonly #authorities: TlsOptions;

  /** @param tls for the servers; a proxy that is spoken to by https: is never shown the certificate of the client */
  constructor(proxy: URL, tls: TlsOptions) {
    super({ ...tls, keepAlive: true });
    this.#proxy = proxy;
    this.#authorities = tls.ca === undefined ? {} : { ca: tls.ca };
  }

  override createConnection(options: ClientRequestArgs & TunnelRequest & ConnectionOptions, connected: Connected): undefined {
    const host = String(options.host ?? options.hostname);
    const authority = `${host.includes(':') ? `[${host}]` : host}:${options.port ?? 443}`;
    const authorization = basicAuthorization(this.#proxy);
    const headers = { host: authority, ...(authorization === undefined ? {} : { 'proxy-authorization': authorization }) };
    const { tunnelSignal } = options;
    const settings = { method: 'CONNECT', path: authority, headers, agent: false as const };
    const cancel = tunnelSignal === undefined ? {} : { signal: tunnelSignal };
    const target = withoutCredentials(this.#proxy);
    const asked =
      this.#proxy.protocol === 'https:'
        ? httpsRequest(target, { ...this.#authorities, ...settings, ...cancel })
        : httpRequest(target, { ...settings, ...cancel });
    asked.once('connect', (answer: IncomingMessage, socket: Duplex, early: Buffer) => {
      const refusal = refusalOf(answer, early);
      if (refusal === undefined) {
        connected(null, tlsConnect({ ...options, path: undefined, socket }));
        return;
      }
      socket.destroy();
      connected(refusal);
    });
    asked.once('error', (error) => connected(new ProxyError('code' in error ? String(error.code) : error.message)));
    asked.end();
    return undefined;
  }
}

function refusalOf({ statusCode = 0 }: IncomingMessage, early: Buffer): ProxyError | undefined {
  if (WANTS_A_PASSWORD.has(statusCode)) return new ProxyError(`it wants another user and password (${statusCode})`, statusCode);
  if (statusCode < 200 || statusCode >= 300) return new ProxyError(`it answered ${statusCode}`, statusCode);
  return early.length === 0 ? undefined : new ProxyError('it spoke before we did');
}
