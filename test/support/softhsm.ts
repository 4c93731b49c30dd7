/** SoftHSM with tokens of its own, in a temporary folder: a real PKCS#11 library, without a device. */
import { execFile } from 'node:child_process';
import type { KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { passphraseFrom, PIN, type PassphraseSource } from '../../lib/keys/passphrase.ts';
import { temporaryDirectory } from './engineer.ts';
import { requireTool } from './tools.ts';

const run = promisify(execFile);
const LIBRARIES = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib64/softhsm/libsofthsm2.so', '/usr/local/lib/softhsm/libsofthsm2.so'];

export const TOKEN_PIN = '271828';
const SO_PIN = '31415926';

export interface SoftHsm {
  /** Of the library. */
  readonly library: string;
  /** Where the tokens are: to take them away. */
  readonly tokens: string;
  makeToken(label: string): Promise<void>;
  /** Brings a private key into the token, as `softhsm2-util` does. */
  bring(key: KeyObject, place: { readonly token: string; readonly label: string; readonly id: string }): Promise<void>;
}

/**
 * One with a token called `release`; undefined where the machine has none: the test is skipped.
 *
 * @param options.mechanisms for its configuration: the only ones that the token has, as `CKM_…,CKM_…`
 */
export async function startSoftHsm(t: TestContext, options: { readonly mechanisms?: string } = {}): Promise<SoftHsm | undefined> {
  if (!requireTool(t, 'softhsm2-util')) return undefined;
  const library = LIBRARIES.find((path) => existsSync(path));
  if (library === undefined) throw new Error(`softhsm2-util is there, and none of ${LIBRARIES.join(', ')}`);
  const directory = await temporaryDirectory(t);
  const tokens = join(directory, 'tokens');
  await mkdir(tokens);
  const configuration = join(directory, 'softhsm2.conf');
  const mechanisms = options.mechanisms === undefined ? '' : `slots.mechanisms = ${options.mechanisms}\n`;
  await writeFile(configuration, `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n${mechanisms}`);
  // The library reads the environment of the process that it is loaded into.
  const before = process.env['SOFTHSM2_CONF'];
  process.env['SOFTHSM2_CONF'] = configuration;
  t.after(() => {
    if (before === undefined) delete process.env['SOFTHSM2_CONF'];
    else process.env['SOFTHSM2_CONF'] = before;
  });
  const hsm: SoftHsm = {
    library,
    tokens,
    async makeToken(label) {
      await run('softhsm2-util', ['--init-token', '--free', '--label', label, '--so-pin', SO_PIN, '--pin', TOKEN_PIN]);
    },
    async bring(key, { token, label, id }) {
      const file = join(directory, `${label}.pem`);
      await writeFile(file, key.export({ format: 'pem', type: 'pkcs8' }));
      await run('softhsm2-util', ['--import', file, '--token', token, '--label', label, '--id', id, '--pin', TOKEN_PIN]);
    },
  };
  await hsm.makeToken('release');
  return hsm;
}

export const rightPin: PassphraseSource = passphraseFrom({ env: { GANTRY_PIN: TOKEN_PIN } }, PIN);

/** A person who types these, one after the other, and what that person was asked. */
export function personWith(...pins: readonly string[]): PassphraseSource & { readonly asked: readonly string[] } {
  const asked: string[] = [];
  const source = passphraseFrom(
    {
      env: {},
      prompt: async (what, attempt) => {
        asked.push(what);
        return pins[attempt] ?? 'no more';
      },
    },
    PIN,
  );
  return { ...source, asked };
}
