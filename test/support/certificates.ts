/** Certificates for tests, made by openssl. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { temporaryDirectory } from './engineer.ts';

const run = promisify(execFile);

/** PEM. */
export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/**
 * Signed by itself, so that it is its own authority where it is trusted.
 *
 * @param name for example `IP:127.0.0.1`
 * @param days from now; less than 0 makes one that has expired
 */
export async function makeCertificate(t: TestContext, name: string, days: number): Promise<Certificate> {
  const folder = await temporaryDirectory(t);
  const [key, cert, request] = ['key.pem', 'cert.pem', 'request.pem'].map((file) => join(folder, file)) as [string, string, string];
  const keyOptions = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key];
  const subject = ['-subj', '/CN=gantry test', '-addext', `subjectAltName=${name}`];
  // In two steps, because `req -x509` makes none that has expired.
  await run('openssl', ['req', ...keyOptions, '-out', request, ...subject]);
  const made = ['-out', cert, '-days', String(days), '-copy_extensions', 'copy'];
  await run('openssl', ['x509', '-req', '-in', request, '-signkey', key, ...made]);
  return { key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') };
}

/** For the rest of this test, this process knows the authority. */
export function trust(t: TestContext, { cert }: Certificate): void {
  const known = getCACertificates('default');
  setDefaultCACertificates([...known, cert]);
  t.after(() => setDefaultCACertificates(known));
}
