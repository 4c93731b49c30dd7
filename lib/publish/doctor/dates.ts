/** What ends soon: metadata and certificates. */
import { dateOf } from '../../tuf/date.ts';
import type { SignedRole } from '../../tuf/types.ts';
import type { Sighting } from './edges.ts';
import type { Visit } from './visit.ts';

const HOUR_MS = 3_600_000;
const SOON_HOURS = 24;
const CERTIFICATE_SOON_DAYS = 14;

export function judgeExpiry({ report, placeOf, now, metadataUrl }: Visit, { role }: SignedRole): void {
  const hours = (dateOf(role.expires).getTime() - now().getTime()) / HOUR_MS;
  const name = role._type === 'timestamp' ? 'timestamp.json' : `${role.version}.${role._type}.json`;
  const at = placeOf(new URL(name, metadataUrl));
  if (hours <= 0) report('expired', at, `it expired at ${role.expires}; expected a date to come`);
  else if (hours < SOON_HOURS) report('expiring', at, `it expires at ${role.expires}; expected more than ${SOON_HOURS} h from now`);
}

export function judgeCertificates({ report, placeOf, now }: Visit, url: URL, seen: readonly Sighting[]): void {
  const ends = seen.map(({ answer }) => answer.certificateExpires?.getTime()).filter((time) => time !== undefined);
  const days = (Math.min(...ends) - now().getTime()) / (24 * HOUR_MS);
  if (days < CERTIFICATE_SOON_DAYS) {
    report(
      'certificate-expiring',
      placeOf(url),
      `the certificate of ${url.origin} is valid for ${Math.max(0, Math.floor(days))} more days; expected ${CERTIFICATE_SOON_DAYS}`,
    );
  }
}
