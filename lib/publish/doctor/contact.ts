/** The first question: whether anybody is there, with which certificate, and whether this is a repository at all. */
import { GantryError, isGantryError } from '../../errors.ts';
import { printableUrl, statusError } from '../../http/failures.ts';
import { probe, type ProbedAnswer, type ProbeOptions } from '../../http/probe.ts';
import { readSignedRole } from '../../tuf/role.ts';
import type { SignedRole, Timestamp } from '../../tuf/types.ts';
import { placeOfUrl, redirectOf, type VisitOptions } from './visit.ts';

type Contact = Pick<VisitOptions, 'metadataUrl' | 'report' | 'signal' | 'idleTimeoutMs' | 'ca'> & {
  /** `VARIANT/ARCH` of repositories that may be meant. */
  readonly likely: readonly string[];
};

/** The architectures that a repository's folder is called after. */
const ARCHES = ['x86_64', 'aarch64'];
const TIMESTAMP_MAX_BYTES = 1 << 20;
const NOT_THERE: ReadonlySet<number> = new Set([403, 404, 410]);
const LOOPBACK = /^(?:localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/u;

export interface Greeting {
  /** How to go on; undefined when a password of the URL would be told to whoever has a certificate that is not trusted. */
  readonly certificate: VisitOptions['certificate'] | undefined;
  /** How many questions it took. */
  readonly requests: number;
}

/**
 * @throws GantryError `http/unreachable`, `http/status`, `store/missing` when the URL is a wrong one, `aborted`
 */
export async function greet(contact: Contact): Promise<Greeting> {
  const { metadataUrl, report } = contact;
  const url = new URL('timestamp.json', metadataUrl);
  const seen = await verifiedProbe(contact, url);
  if (seen instanceof GantryError) {
    const { problem } = seen.details;
    report('certificate', placeOfUrl(url, metadataUrl), `the certificate of ${url.origin} ${problem}; expected one that hosts accept`);
    if (url.username !== '' || url.password !== '') return { certificate: undefined, requests: 1 };
  }
  const certificate = seen instanceof GantryError ? 'any' : 'verified';
  const answer = seen instanceof GantryError ? await probe(url, settingsOf(contact, certificate)) : seen;
  if (isPlain(answer)) report('plain-http', placeOfUrl(url, metadataUrl), `${url.origin} is spoken to without TLS; expected https`);
  if (NOT_THERE.has(answer.status)) throw await wrongUrl(contact, certificate, `timestamp.json is not there (${answer.status})`);
  if (answer.status !== 200 && redirectOf(answer) === undefined) throw statusError(url, answer.status);
  return { certificate, requests: certificate === 'any' ? 2 : 1 };
}

async function verifiedProbe(contact: Contact, url: URL): Promise<ProbedAnswer | GantryError<'http/certificate'>> {
  try {
    return await probe(url, settingsOf(contact, 'verified'));
  } catch (error) {
    if (isGantryError(error, 'http/certificate')) return error;
    throw error;
  }
}

function settingsOf({ signal, idleTimeoutMs, ca }: Contact, certificate: VisitOptions['certificate']): ProbeOptions {
  return {
    maxBytes: TIMESTAMP_MAX_BYTES,
    signal,
    certificate,
    ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
    ...(ca === undefined ? {} : { ca }),
  };
}

/** On the way to other machines, and not only to be sent on to TLS. */
function isPlain(answer: ProbedAnswer): boolean {
  const isSecure = [answer.url, redirectOf(answer)].some((url) => url?.protocol === 'https:');
  return !isSecure && !LOOPBACK.test(answer.url.hostname);
}

/** The timestamp role in an answer, or undefined when it is something else. */
export function timestampIn(bytes: Uint8Array): SignedRole<Timestamp> | undefined {
  try {
    return readSignedRole(bytes, 'timestamp');
  } catch (error) {
    if (isGantryError(error)) return undefined;
    throw error;
  }
}

/** An error that names the right URL when it is near. */
export async function wrongUrl(contact: Contact, certificate: VisitOptions['certificate'], is: string): Promise<GantryError> {
  const right = await nearbyRepository(contact, certificate);
  const path = printableUrl(contact.metadataUrl);
  const which = right === undefined ? '' : `, which ${printableUrl(right)} is`;
  return new GantryError('store/missing', `Cannot examine ${path}: ${is}; expected the folder of timestamp.json${which}`, { path });
}

/** Above, or below where we know names. */
async function nearbyRepository(contact: Contact, certificate: VisitOptions['certificate']): Promise<URL | undefined> {
  const { metadataUrl, likely } = contact;
  const places = ['../', '../../', ...ARCHES.map((arch) => `${arch}/`), ...likely.flatMap((name) => [`${name}/`, `../${name}/`])];
  const tried = new Set([metadataUrl.href]);
  for (const place of places) {
    const folder = new URL(place, metadataUrl);
    if (tried.has(folder.href)) continue;
    tried.add(folder.href);
    const answer = await probe(new URL('timestamp.json', folder), settingsOf(contact, certificate)).catch((error: unknown) => {
      if (isGantryError(error, 'aborted')) throw error;
      return undefined;
    });
    if (answer?.status === 200 && timestampIn(answer.body) !== undefined) return folder;
  }
  return undefined;
}
