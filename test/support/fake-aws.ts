/**
 * AWS KMS and SSM, as far as signers ask them, with what other imitations lack: digests are signed and not hashed again, with a salt as
 * long as the digest; limits, states of keys, regions, expired credentials and denials have AWS's own names and statuses.
 *
 * What is faked is AWS; the signatures are openssl's.
 */
import { execFile } from 'node:child_process';
import { createPublicKey, sign, type KeyObject } from 'node:crypto';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { temporaryDirectory, type Cleanup } from './engineer.ts';

const run = promisify(execFile);

export interface FakeKey {
  readonly privateKey: KeyObject;
  readonly spec: string;
  readonly usage?: 'SIGN_VERIFY' | 'ENCRYPT_DECRYPT' | 'KEY_AGREEMENT';
  readonly algorithms?: readonly string[];
  state?: 'Enabled' | 'Disabled' | 'PendingDeletion' | 'PendingImport';
  /** What it signs with in truth: the mistake of a server. */
  readonly signsWith?: KeyObject;
}

export interface FakeParameter {
  value: string;
  readonly type: 'SecureString' | 'String';
  readonly keyId?: string | undefined;
  readonly description?: string | undefined;
}

/** An error as AWS writes it, or what else a server may do: `cut` breaks the connection, before or after the work was done. */
export type Fault =
  | { readonly status: number; readonly name: string; readonly message?: string }
  | { readonly cut: 'before' | 'after' }
  | { readonly body: string; readonly status: number };

export interface FakeAws {
  readonly endpoint: string;
  /** By region and id: `eu-west-1 1234…`; an alias is a key with a second name. */
  readonly keys: Map<string, FakeKey>;
  /** By region and name. */
  readonly parameters: Map<string, FakeParameter>;
  /** Given to the next requests, one each. */
  readonly faults: Fault[];
  /** What was asked, in order: `kms:Sign eu-west-1 AKIA…`. */
  readonly asked: string[];
  /** By access key: the actions that its policy allows, or `expired`. All others may do everything. */
  readonly policies: Map<string, readonly string[] | 'expired'>;
  readonly requests: Readonly<Record<string, unknown>>[];
}

class Refusal extends Error {
  readonly status: number;

  constructor(name: string, message: string, status = 400) {
    super(message);
    this.name = name;
    this.status = status;
  }
}

const ACTIONS: Readonly<Record<string, string>> = {
  'TrentService.GetPublicKey': 'kms:GetPublicKey',
  'TrentService.Sign': 'kms:Sign',
  'AmazonSSM.GetParameter': 'ssm:GetParameter',
  'AmazonSSM.PutParameter': 'ssm:PutParameter',
};
const MAX_MESSAGE_BYTES = 4096;
const SHA256_BYTES = 32;
const ACCOUNT = '111122223333';

interface Asked {
  readonly action: string;
  readonly region: string;
  readonly request: Readonly<Record<string, unknown>>;
}

export async function startFakeAws(t: Cleanup): Promise<FakeAws> {
  const aws: Omit<FakeAws, 'endpoint'> = {
    keys: new Map(),
    parameters: new Map(),
    faults: [],
    asked: [],
    policies: new Map(),
    requests: [],
  };
  const directory = await temporaryDirectory(t);
  const server = createServer((request, response) => {
    void answer(aws, directory, request, response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  // The proof: a TCP server has an address of this kind.
  const { port } = server.address() as AddressInfo;
  return { ...aws, endpoint: `http://127.0.0.1:${port}` };
}

async function answer(
  aws: Omit<FakeAws, 'endpoint'>,
  directory: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const say = (status: number, body: string): void => {
    response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(body);
  };
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  const fault = aws.faults.shift();
  if (fault !== undefined && 'cut' in fault && fault.cut === 'before') return void request.socket.destroy();
  try {
    const asked = await whatIsAsked(aws, request, Buffer.concat(chunks).toString('utf8'));
    if (fault !== undefined && 'body' in fault) return say(fault.status, fault.body);
    if (fault !== undefined && 'name' in fault) throw new Refusal(fault.name, fault.message ?? fault.name, fault.status);
    const body = JSON.stringify(await work(aws, directory, asked));
    if (fault !== undefined) return void request.socket.destroy();
    say(200, body);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    say(error.status, JSON.stringify({ __type: error.name, message: error.message }));
  }
}

/** The signature of the request is not checked; who made it, and for which region, is. */
async function whatIsAsked(aws: Omit<FakeAws, 'endpoint'>, { headers }: IncomingMessage, body: string): Promise<Asked> {
  const action = ACTIONS[String(headers['x-amz-target'])];
  const [, accessKey = '', region = ''] = /Credential=([^/]+)\/\d+\/([^/]+)\//u.exec(headers.authorization ?? '') ?? [];
  if (action === undefined) throw new Refusal('UnknownOperationException', 'unknown');
  const request: Readonly<Record<string, unknown>> = JSON.parse(body);
  aws.asked.push(`${action} ${region} ${accessKey}`);
  aws.requests.push(request);
  const policy = aws.policies.get(accessKey);
  if (policy === 'expired') throw new Refusal('ExpiredTokenException', 'The security token included in the request is expired');
  if (policy !== undefined && !policy.includes(action)) {
    const who = `User: arn:aws:iam::${ACCOUNT}:user/ci is not authorized to perform: ${action} on this resource`;
    throw new Refusal('AccessDeniedException', `${who} because no identity-based policy allows the ${action} action`);
  }
  return { action, region, request };
}

async function work(aws: Omit<FakeAws, 'endpoint'>, directory: string, { action, region, request }: Asked): Promise<unknown> {
  if (action === 'ssm:GetParameter') return getParameter(aws, region, request);
  if (action === 'ssm:PutParameter') return putParameter(aws, region, request);
  const id = String(request['KeyId']);
  const arn = /^arn:aws:kms:([a-z0-9-]+):\d+:(.+)$/u.exec(id);
  if (arn !== null && arn[1] !== region) throw new Refusal('NotFoundException', `Invalid arn ${region}`);
  const key = aws.keys.get(`${region} ${(arn?.[2] ?? id).replace(/^key\//u, '')}`);
  const name = `arn:aws:kms:${region}:${ACCOUNT}:${id}`;
  if (key === undefined) throw new Refusal('NotFoundException', `Key '${name}' does not exist`);
  if (key.state === 'Disabled') throw new Refusal('DisabledException', `${name} is disabled.`);
  if (key.state === 'PendingDeletion') throw new Refusal('KMSInvalidStateException', `${name} is pending deletion.`);
  if (key.state === 'PendingImport') throw new Refusal('KMSInvalidStateException', `${name} is pending import.`);
  if (key.privateKey.type === 'secret') throw new Refusal('UnsupportedOperationException', `${name} is not an asymmetric key.`);
  return action === 'kms:Sign' ? signAsKms(key, request, directory) : describeKey(key, name);
}

function algorithmsOf({ spec, usage = 'SIGN_VERIFY', algorithms }: FakeKey): readonly string[] | undefined {
  if (usage !== 'SIGN_VERIFY') return undefined;
  if (algorithms !== undefined) return algorithms;
  const hashes = ['SHA_256', 'SHA_384', 'SHA_512'];
  if (spec.startsWith('RSA_')) return ['RSASSA_PKCS1_V1_5', 'RSASSA_PSS'].flatMap((padding) => hashes.map((hash) => `${padding}_${hash}`));
  if (spec === 'ECC_NIST_EDWARDS25519') return ['ED25519_PH_SHA_512', 'ED25519_SHA_512'];
  return [`ECDSA_${spec === 'ECC_NIST_P384' ? 'SHA_384' : 'SHA_256'}`];
}

function describeKey(key: FakeKey, name: string): unknown {
  const der = createPublicKey(key.privateKey).export({ format: 'der', type: 'spki' });
  return {
    KeyId: name,
    KeySpec: key.spec,
    KeyUsage: key.usage ?? 'SIGN_VERIFY',
    PublicKey: der.toString('base64'),
    SigningAlgorithms: algorithmsOf(key),
  };
}

async function signAsKms(key: FakeKey, request: Readonly<Record<string, unknown>>, directory: string): Promise<unknown> {
  const algorithm = String(request['SigningAlgorithm']);
  const message = Buffer.from(String(request['Message']), 'base64');
  const isDigest = request['MessageType'] === 'DIGEST';
  if (algorithmsOf(key)?.includes(algorithm) !== true) throw new Refusal('InvalidKeyUsageException', 'incompatible with key spec');
  if (message.length > MAX_MESSAGE_BYTES) throw new Refusal('ValidationException', "Value at 'message' failed to satisfy constraint");
  if (isDigest && message.length !== SHA256_BYTES)
    throw new Refusal('ValidationException', `Digest is invalid length for algorithm ${algorithm}.`);
  const signsWith = key.signsWith ?? key.privateKey;
  if (algorithm === 'ED25519_SHA_512') {
    if (isDigest) throw new Refusal('ValidationException', 'MessageType must be RAW');
    return { Signature: sign(null, message, signsWith).toString('base64'), SigningAlgorithm: algorithm };
  }
  if (!isDigest) throw new Error('payloads are larger than what KMS takes, so signers send digests');
  return { Signature: (await signDigest(signsWith, message, directory)).toString('base64'), SigningAlgorithm: algorithm };
}

/** RSA: PSS with a salt of 32 bytes. Node hashes what it signs, so openssl does it. */
async function signDigest(key: KeyObject, digest: Buffer, directory: string): Promise<Buffer> {
  const file = join(directory, crypto.randomUUID());
  const files = { key: `${file}.pem`, digest: `${file}.digest` };
  await writeFile(files.key, key.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
  await writeFile(files.digest, digest);
  const pss = ['digest:sha256', 'rsa_padding_mode:pss', 'rsa_pss_saltlen:32', 'rsa_mgf1_md:sha256'];
  const options = (key.asymmetricKeyType === 'rsa' ? pss : []).flatMap((option) => ['-pkeyopt', option]);
  const { stdout } = await run('openssl', ['pkeyutl', '-sign', '-inkey', files.key, '-in', files.digest, ...options], {
    encoding: 'buffer',
  });
  await Promise.all(Object.values(files).map(async (path) => rm(path)));
  return stdout;
}

function getParameter(aws: Omit<FakeAws, 'endpoint'>, region: string, request: Readonly<Record<string, unknown>>): unknown {
  const found = aws.parameters.get(`${region} ${String(request['Name'])}`);
  // AWS says no more than the name.
  if (found === undefined) throw new Refusal('ParameterNotFound', '');
  const isReadable = found.type === 'String' || request['WithDecryption'] === true;
  return { Parameter: { Name: request['Name'], Type: found.type, Value: isReadable ? found.value : 'AQICAHencrypted', Version: 1 } };
}

function putParameter(aws: Omit<FakeAws, 'endpoint'>, region: string, request: Readonly<Record<string, unknown>>): unknown {
  const name = `${region} ${String(request['Name'])}`;
  if (aws.parameters.has(name) && request['Overwrite'] !== true)
    throw new Refusal('ParameterAlreadyExists', 'The parameter already exists.');
  aws.parameters.set(name, {
    value: String(request['Value']),
    type: request['Type'] === 'SecureString' ? 'SecureString' : 'String',
    keyId: request['KeyId'] === undefined ? undefined : String(request['KeyId']),
    description: request['Description'] === undefined ? undefined : String(request['Description']),
  });
  return { Version: 1, Tier: 'Standard' };
}
