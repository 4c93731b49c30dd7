/** A visit to a server: its questions are counted, and what it does not answer is reported once, here. */
import { randomInt } from 'node:crypto';
import { isGantryError, type GantryError } from '../../errors.ts';
import { printableUrl } from '../../http/failures.ts';
import { probe, type ProbedAnswer, type ProbeOptions } from '../../http/probe.ts';
import type { Report } from './rules.ts';

export interface VisitOptions {
  /** The folder of `timestamp.json`, with a slash at its end. */
  readonly metadataUrl: URL;
  readonly targetsUrl: URL;
  readonly certificate: NonNullable<ProbeOptions['certificate']>;
  readonly report: Report;
  readonly now: () => Date;
  /** How many were made before. */
  readonly requests: number;
  readonly idleTimeoutMs?: number;
  /** PEM, as `checkedAuthorities` gives it. */
  readonly ca?: string;
  readonly signal?: AbortSignal | undefined;
}

export interface Question {
  readonly headers?: Readonly<Record<string, string>>;
  readonly maxBytes?: number;
  readonly address?: number;
}

export interface Visit extends Pick<VisitOptions, 'metadataUrl' | 'targetsUrl' | 'report' | 'now'> {
  /** Undefined when no answer came, which is reported. */
  readonly ask: (url: URL, question?: Question) => Promise<ProbedAnswer | undefined>;
  /** Follows redirects and reports them; undefined too when they do not end. */
  readonly follow: (url: URL, question?: Question) => Promise<ProbedAnswer | undefined>;
  /** How findings name a URL. */
  readonly placeOf: (url: URL) => string;
  readonly requests: () => number;
}

/** Enough to see what a server does with a file. */
export const SAMPLE_BYTES = 65_536;
const MAX_HOPS = 5;

export function openVisit({ certificate, signal, idleTimeoutMs, ca, requests: before, ...rest }: VisitOptions): Visit {
  let requests = before;
  const settings = { ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }), ...(ca === undefined ? {} : { ca }) };
  const placeOf = (url: URL): string => placeOfUrl(url, rest.metadataUrl);
  const ask: Visit['ask'] = async (url, { maxBytes = SAMPLE_BYTES, ...question } = {}) => {
    requests += 1;
    try {
      return await probe(url, { ...question, ...settings, maxBytes, certificate, signal });
    } catch (error) {
      if (!isNetworkError(error)) throw error;
      rest.report('unsteady', placeOf(url), `no answer came (${error.message})`);
      return undefined;
    }
  };
  return {
    ...rest,
    ask,
    placeOf,
    requests: () => requests,
    follow: async (url, question) => followFrom({ ask, placeOf, ...rest }, url, question),
  };
}

/** A path as a rule; the URL where it is not this host's. */
export function placeOfUrl(url: URL, metadataUrl: URL): string {
  return url.origin === metadataUrl.origin ? url.pathname : printableUrl(url);
}

function isNetworkError(error: unknown): error is GantryError {
  return isGantryError(error) && error.code.startsWith('http/') && error.code !== 'http/bad-url';
}

async function followFrom(
  { ask, placeOf, report }: Pick<Visit, 'ask' | 'placeOf' | 'report'>,
  url: URL,
  question: Question | undefined,
): Promise<ProbedAnswer | undefined> {
  const hops = [url];
  for (let current = url; hops.length <= MAX_HOPS;) {
    const answer = await ask(current, question);
    const to = answer === undefined ? undefined : redirectOf(answer);
    if (to === undefined) {
      reportHops({ placeOf, report }, hops);
      return answer;
    }
    current = to;
    hops.push(to);
  }
  const end = printableUrl(hops.at(-1) ?? url);
  report('redirect-loop', placeOf(url), `after ${MAX_HOPS} redirects there is still no file; the last one led to ${end}`);
  return undefined;
}

/** Where everything moves to is worth saying once, not for every file. */
function reportHops({ placeOf, report }: Pick<Visit, 'placeOf' | 'report'>, hops: readonly URL[]): void {
  for (const [index, from] of hops.entries()) {
    const to = hops[index + 1];
    if (to === undefined) return;
    const isNear = to.origin === from.origin;
    const where = isNear ? 'another path of this server' : to.origin;
    report(isNear ? 'redirect' : 'redirect-elsewhere', placeOf(from), `it redirects to ${where}; expected the file itself`);
  }
}

/** Where an answer sends us, if it does and if that is a place for HTTP. */
export function redirectOf({ status, headers, url }: ProbedAnswer): URL | undefined {
  const { location } = headers;
  if (status < 300 || status >= 400 || status === 304 || location === undefined || !URL.canParse(location, url)) return undefined;
  const to = new URL(location, url);
  return to.protocol === 'http:' || to.protocol === 'https:' ? to : undefined;
}

/** The URL with a query string like a stock host's, one that no cache has met. */
export function withHostQuery(url: URL): URL {
  const asked = new URL(url);
  asked.search = `?version=1.0.0&seed=${randomInt(2048)}&visit=${randomInt(2 ** 40)}`;
  return asked;
}
