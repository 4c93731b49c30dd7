/** What the errors of this machine, the network, metadata and keys mean, and why they are errors. */
import type { ErrorCode } from '../../lib/errors.ts';
import type { Explained } from './explain.ts';

type Family = 'files' | 'http' | 'tuf' | 'keys' | 'server' | 'usage';
type Code = Extract<ErrorCode, `${Family}/${string}`> | 'aborted';

export const machineErrors: Readonly<Record<Code, Explained>> = {
  'files/exists': ['a file has that name already', 'gantry replaces nothing that it was not told to replace'],
  'files/missing': ['there is no such file', 'without it the command has nothing to work on'],
  'files/not-writable': ['this user may not write there', 'half of a result is worse than none, so nothing is written'],
  'files/not-readable': ['this user may not read the file', 'what cannot be read cannot be checked or signed'],
  'files/disk-full': ['the disk is full', 'what was half-written has been removed, and what was there before is as it was'],
  'files/exposed': [
    'others may read a file that holds a secret',
    'whoever reads it can sign in your name',
    'chmod 600 FILE; make a new key if somebody else may have read it',
  ],
  'files/locked': ['another gantry is at work here', 'two that change one workspace at once would lose something'],
  'files/changed': ['the file changed while it was read', 'what is signed must be what was looked at'],
  'http/unreachable': ['nobody answers at that address', 'without the server nothing can be said about the repository'],
  'http/certificate': [
    'the certificate of the server is not accepted',
    'somebody else may be answering in its place; signatures still protect hosts, but not what they ask for',
  ],
  'http/status': ['the server answered with an error', 'it is no answer about the file: only a 404 says that there is none'],
  'http/missing': ['the server has no such file', 'either the URL is wrong, or the repository is not complete'],
  'http/too-long': [
    'the server sent more than the file may have',
    'endless answers are an attack on disks and memory, so they are cut off',
  ],
  'http/too-short': ['the server sent less than it announced', 'a file that was cut is not the one that was signed'],
  'http/stalled': ['nothing came for a long time', 'a server that keeps hosts waiting keeps them from updating'],
  'http/interrupted': ['the connection broke off', 'what came so far is kept where it can be continued'],
  'http/redirected': ['the server sends us to another scheme, host or port', 'whoever can redirect could lead hosts anywhere'],
  'http/bad-url': ['that is no URL of a repository', 'nothing was asked of any server'],
  'http/proxy': ['the proxy does not let us through', 'everything goes through it, as the environment says'],
  'http/range': [
    'the server answered with another part of the file than it was asked for',
    'a download that is put together from wrong parts is no image',
  ],
  'http/changed': ['the file changed while it was fetched in parts', 'parts of two files make none'],
  'http/bad-setting': ['a setting of the network cannot be used', 'a limit that is misread protects nobody'],
  'http/encoded': [
    'the server compressed the file on its way',
    'clients hash the bytes that they get, and other clients would refuse these',
  ],
  'tuf/not-json': ['what should be metadata is not JSON', 'it is often an error page that came with status 200'],
  'tuf/malformed': ['metadata lacks a member, or has one of another kind', 'each client would make something else of it'],
  'tuf/key-unsupported': ['a key of a kind that some client does not know', 'hosts with that client would refuse the root'],
  'tuf/key-id-mismatch': ['a key stands under an id that is not its digest', 'a key could then pass for another one'],
  'tuf/threshold': ['too few valid signatures for the role', 'this is what keeps a forged repository from being trusted'],
  'tuf/not-portable': [
    'the role breaks a rule that at least one TUF client insists on',
    'once signed and published, hosts with that client would be stuck',
  ],
  'tuf/bad-target-path': ['a target has a name that clients fetch in different ways', 'some hosts would not find it, or find another file'],
  'keys/missing': [
    'the workspace knows no key of that name',
    'a role must not be given to a key that nobody has',
    'gantry key list shows the keys; gantry key generate NAME makes one',
  ],
  'keys/exists': ['a key of that name is there', 'a private key that is overwritten is lost for good'],
  'keys/bad-name': ['a name that cannot be one of a key', 'names become file names'],
  'keys/unreadable': ['the file holds no key that can be read', 'nothing can be signed with it'],
  'keys/unsupported': [
    'a key of a kind that gantry does not sign with',
    'not every TUF client would accept its signatures',
    'gantry key generate NAME makes one that every client accepts',
  ],
  'keys/passphrase-needed': ['the key is encrypted, and nobody can be asked', 'without its passphrase nothing is signed'],
  'keys/passphrase-wrong': ['the passphrase does not open the key', 'nothing was signed with it'],
  'keys/pin-needed': ['the token wants a PIN, and nobody can be asked', 'without its PIN nothing is signed'],
  'keys/bad-reference': ['that does not say where a private key is', 'the wrong key could be used'],
  'keys/signer-failed': [
    'what holds the key did not sign',
    'nothing that it returned was used; the signatures that were made before are kept',
  ],
  'keys/mismatch': ['the private key is not the one that the workspace knows by this name', 'its signatures would not count'],
  'keys/bad-signature': [
    'a signature does not verify, or is by a key that may not sign this role',
    'a draft never carries a signature that does not count',
  ],
  'keys/example': ["one of gantry's example keys", 'everybody has its private half'],
  'server/port-in-use': ['another program listens on that port', 'two servers cannot share it'],
  'server/not-a-store': ['the directory holds no publication', 'hosts would find nothing there'],
  'usage/confirm': ['a question would have to be asked, and there is no terminal', 'what cannot be undone is not done without an answer'],
  'usage/option': [
    'an option has a value that it cannot have, or does not go with another',
    'guessing what was meant could change the wrong thing',
  ],
  'usage/arguments': ['the command line cannot be understood', 'nothing was done', 'gantry --help, or gantry COMMAND --help'],
  aborted: ['somebody stopped the command', 'every command can be run again: what is done already is not done twice'],
};
