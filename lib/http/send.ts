/** One GET up to the header of its answer: nothing is tried again, followed or judged. */
import { get as httpGet, type Agent as HttpAgent, type IncomingMessage, type RequestOptions } from 'node:http';
import { get as httpsGet, type Agent as HttpsAgent } from 'node:https';
import { GantryError } from '../errors.ts';
import { aborted, badScheme, noAnswer, stalled } from './failures.ts';

export interface SendOptions {
  /** False for a connection of its own. */
  readonly agents: { readonly http: HttpAgent; readonly https: HttpsAgent } | false;
  readonly headers: Readonly<Record<string, string>>;
  readonly idleTimeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** True by default: a certificate that this machine does not trust ends the request. */
  readonly rejectUnauthorized?: boolean;
  readonly lookup?: RequestOptions['lookup'];
}

/** @throws GantryError `http/bad-url`, `http/unreachable`, `http/certificate`, `http/interrupted`, `http/stalled`, `aborted` */
export async function sendGet(url: URL, options: SendOptions): Promise<IncomingMessage> {
  const secure = url.protocol === 'https:';
  if (!secure && url.protocol !== 'http:') throw badScheme(url);
  const { agents, headers, idleTimeoutMs, signal, lookup, rejectUnauthorized = true } = options;
  return new Promise((resolve, reject) => {
    const settings = {
      agent: agents === false ? false : secure ? agents.https : agents.http,
      headers,
      ...(signal === undefined ? {} : { signal }),
      ...(lookup === undefined ? {} : { lookup }),
    };
    const sent = secure ? httpsGet(url, { ...settings, rejectUnauthorized }) : httpGet(url, settings);
    // A timer of our own, because a socket's begins only once it is connected, and starts again with every byte of a header.
    const timer = setTimeout(() => sent.destroy(stalled(url, idleTimeoutMs)), idleTimeoutMs);
    sent.once('response', (response) => {
      clearTimeout(timer);
      resolve(response);
    });
    sent.on('error', (error) => {
      clearTimeout(timer);
      if (signal?.aborted === true) reject(aborted(signal));
      else reject(error instanceof GantryError ? error : noAnswer(url, error));
    });
  });
}
