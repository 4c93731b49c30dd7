/**
 * `pkcs11:` URLs (RFC 7512), which say where a key in a token is.
 *
 * Rules:
 * - a secret never stands in one: `pin-value` is refused, `pin-source` names a file;
 * - an attribute that is not known is refused, because leaving it out would name another key;
 * - a library is named by its whole path: what the loader would search for could be somebody else's.
 */
import { badReference } from '../reference.ts';

/** What a URL says of the token and of the key; what it leaves out fits everything. */
export interface Pkcs11Reference {
  /** Label of the token. */
  readonly token?: string;
  readonly manufacturer?: string;
  readonly serial?: string;
  readonly model?: string;
  readonly slotId?: number;
  /** Label of the key. */
  readonly object?: string;
  /** `CKA_ID`, lowercase hexadecimal. */
  readonly id?: string;
  readonly type?: 'private' | 'public';
  /** The library, an absolute path. */
  readonly modulePath?: string;
  /** A file that has the PIN, an absolute path. */
  readonly pinFile?: string;
}

type Text = 'token' | 'manufacturer' | 'serial' | 'model' | 'object';

const SCHEME = 'pkcs11:';
const MAX_LENGTH = 4096;
const TEXTS: ReadonlySet<string> = new Set<Text>(['token', 'manufacturer', 'serial', 'model', 'object']);
// RFC 7512 §2.3: letters, digits and these; everything else is percent-encoded.
const PATH_VALUE = /^(?:[A-Za-z0-9\-._~:[\]@!$'()*+,=&]|%[0-9A-Fa-f]{2})*$/u;
const QUERY_VALUE = /^(?:[A-Za-z0-9\-._~:[\]@!$'()*+,=/?|]|%[0-9A-Fa-f]{2})*$/u;
const SLOT = /^(?:0|[1-9][0-9]{0,15})$/u;
const PATH_NAMES = 'token, serial, slot-id, manufacturer, model, object, id or type';

/** @throws GantryError `keys/bad-reference` */
export function parsePkcs11Url(url: string): Pkcs11Reference {
  if (!url.startsWith(SCHEME)) throw badReference(url, 'it does not begin with "pkcs11:"; expected pkcs11:token=LABEL;object=LABEL');
  if (url.length > MAX_LENGTH) throw badReference(url, `it has ${url.length} characters; expected at most ${MAX_LENGTH}`);
  const [path = '', query] = url.slice(SCHEME.length).split(/\?(.*)/su);
  return {
    ...attributesIn(url, path, ';', (name, value) => pathAttribute(url, name, value)),
    ...attributesIn(url, query ?? '', '&', (name, value) => queryAttribute(url, name, value)),
  };
}

function attributesIn(
  url: string,
  text: string,
  separator: ';' | '&',
  read: (name: string, value: string) => Pkcs11Reference,
): Pkcs11Reference {
  if (text === '') return {};
  const seen = new Set<string>();
  const reference: Pkcs11Reference = {};
  for (const attribute of text.split(separator)) {
    const [name = '', value] = attribute.split(/=(.*)/su);
    // The value of a PIN must not be told again.
    if (name === 'pin-value') throw hidingPin(url);
    if (value === undefined) throw badReference(url, 'an attribute of it has no value; expected NAME=VALUE');
    if (seen.has(name)) throw badReference(url, `it has the attribute ${name} twice; expected it once`);
    seen.add(name);
    Object.assign(reference, read(name, value));
  }
  return reference;
}

function hidingPin(url: string): Error {
  const shown = url.replaceAll(/pin-value(?:=[^;&]*)?/gu, 'pin-value=…');
  return badReference(shown, 'a PIN does not belong there; expected pin-source=file:/PATH, --pin-file FILE or GANTRY_PIN');
}

function pathAttribute(url: string, name: string, value: string): Pkcs11Reference {
  if (name === 'id') return { id: bytesOf(url, name, value).toString('hex') };
  if (name === 'slot-id') {
    if (!SLOT.test(value)) throw badReference(url, 'its slot-id is no number; expected slot-id=0 or above');
    return { slotId: Number(value) };
  }
  if (name === 'type') {
    if (value === 'private' || value === 'public') return { type: value };
    throw badReference(url, 'its type is none of a key that signs; expected type=private, or no type');
  }
  if (!TEXTS.has(name)) throw badReference(url, `it has an attribute that is not known before "?"; expected ${PATH_NAMES}`);
  return { [name]: textOf(url, name, value, PATH_VALUE) };
}

function queryAttribute(url: string, name: string, value: string): Pkcs11Reference {
  if (name === 'module-path') return { modulePath: absolute(url, name, textOf(url, name, value, QUERY_VALUE)) };
  if (name !== 'pin-source')
    throw badReference(url, 'it has an attribute that is not known behind "?"; expected module-path or pin-source');
  const source = textOf(url, name, value, QUERY_VALUE);
  return { pinFile: absolute(url, name, source.replace(/^file:(?:\/\/(?=\/))?/u, '')) };
}

function absolute(url: string, name: string, path: string): string {
  // A NUL would end the path where the system reads it.
  if (path.startsWith('/') && !path.includes('\0')) return path;
  const form = name === 'pin-source' ? 'file:/PATH' : '/PATH';
  throw badReference(url, `its ${name} is no absolute path; expected ${name}=${form}`);
}

function textOf(url: string, name: string, value: string, grammar: RegExp): string {
  if (!grammar.test(value)) throw badCharacters(url, name);
  try {
    return decodeURIComponent(value);
  } catch {
    throw badReference(url, `the bytes of its ${name} are not UTF-8; expected text`);
  }
}

function bytesOf(url: string, name: string, value: string): Buffer {
  if (!PATH_VALUE.test(value)) throw badCharacters(url, name);
  return Buffer.from(
    value.replaceAll(/%(..)/gu, (_, hex: string) => String.fromCodePoint(Number.parseInt(hex, 16))),
    'latin1',
  );
}

function badCharacters(url: string, name: string): Error {
  return badReference(url, `its ${name} is not percent-encoded; expected, for example, a space as %20`);
}

/** The URL that `parsePkcs11Url` reads as this. */
export function pkcs11Url(reference: Pkcs11Reference): string {
  const { token, manufacturer, serial, model, slotId, object, id, type, modulePath, pinFile } = reference;
  const path = [
    ...textAttribute('manufacturer', manufacturer),
    ...textAttribute('model', model),
    ...textAttribute('token', token),
    ...textAttribute('serial', serial),
    ...(slotId === undefined ? [] : [`slot-id=${slotId}`]),
    ...(id === undefined ? [] : [`id=${id.replaceAll(/../gu, (byte) => `%${byte}`)}`]),
    ...textAttribute('object', object),
    ...textAttribute('type', type),
  ];
  const query = [
    ...textAttribute('module-path', modulePath),
    ...(pinFile === undefined ? [] : [`pin-source=file:${encoded(pinFile)}`]),
  ].join('&');
  return `${SCHEME}${path.join(';')}${query === '' ? '' : `?${query}`}`;
}

function textAttribute(name: string, value: string | undefined): readonly string[] {
  return value === undefined ? [] : [`${name}=${name === 'module-path' ? encoded(value) : encodeURIComponent(value)}`];
}

/** A path, with its slashes as they are. */
function encoded(path: string): string {
  return encodeURIComponent(path).replaceAll('%2F', '/');
}
