/** A new key that lies elsewhere, in a token or a parameter: the keys directory gets a line that says where, the workspace its public half. */
import { join } from 'node:path';
import { writeSsmKey } from '../keys/aws/ssm.ts';
import { generatePrivateKey, type KeyType } from '../keys/generate.ts';
import { checkKeyName } from '../keys/key-file.ts';
import { generatePkcs11Key } from '../keys/pkcs11/generate.ts';
import { parsePkcs11Url, pkcs11Url } from '../keys/pkcs11/uri.ts';
import { importKey, type ImportedKey } from './import-key.ts';
import { accessTo, publicKeyPath, type KeyRingOptions } from './key-ring.ts';
import { refuseTaken } from './make-keys.ts';
import type { Workspace } from './workspace.ts';

export interface MakeKeyElsewhereOptions extends KeyRingOptions {
  readonly type: KeyType;
  /** `pkcs11:` names the token; without a label in it, the key gets its own name as one. `aws-ssm:` names the parameter. */
  readonly url: string;
}

/** @throws GantryError `keys/…`, `files/…`; nothing is made there when the name is taken here */
export async function makeKeyElsewhere(workspace: Workspace, name: string, options: MakeKeyElsewhereOptions): Promise<ImportedKey> {
  const here = ['pem', 'pub.pem', 'signer'].map((end) => join(options.keysDirectory, `${checkKeyName(name)}.${end}`));
  await refuseTaken(name, [...here, publicKeyPath(workspace, name)]);
  if (options.url.startsWith('aws-ssm:')) {
    await writeSsmKey(options.url, await generatePrivateKey(options.type), accessTo(name, options));
    return importKey(workspace, name, options.url, { ...options, newPassphrase: async () => undefined });
  }
  const url = pkcs11Url({ object: name, ...parsePkcs11Url(options.url) });
  const made = await generatePkcs11Key(url, options.type, accessTo(name, options));
  try {
    return await importKey(workspace, name, made.url, { ...options, newPassphrase: async () => undefined });
  } finally {
    await made.close();
  }
}
