/** The next command or action for every error. The type checker misses a code that has none. */
import type { ErrorCode, ErrorDetails, GantryError } from '../../lib/errors.ts';
import { shellWord } from './format.ts';

type Hint<C extends ErrorCode> = string | ((details: ErrorDetails[C]) => string | undefined) | undefined;

const RETRY = 'run the same command again; what was done already is not done twice';
const LOOK = 'do not work around this: find out who changed the repository before you trust it';
const SIGN_AND_PUBLISH = 'gantry sign && gantry publish';

const HINTS: { readonly [C in ErrorCode]: Hint<C> } = {
  'files/exists': 'choose another name, or move the old file away',
  'files/missing': 'check the path; paths on the command line are relative to the current directory',
  'files/not-writable': 'check the permissions of the directory',
  'files/not-readable': 'check the path and its permissions',
  'files/disk-full': 'make room, then run the same command again; nothing half-written was left',
  'files/exposed': ({ path }) => `chmod 600 ${path}`,
  'files/locked': 'wait for the other gantry to finish, then run the same command again',
  'files/changed': 'wait until the image is built, then run the same command again',

  'http/unreachable': 'check the URL and the network; is gantry serve running?',
  'http/certificate':
    'the operator renews or corrects it; an authority of your own is made known by --ca FILE, or by NODE_EXTRA_CA_CERTS=FILE',
  'http/status': RETRY,
  'http/missing': 'check the URL: it ends with VARIANT/ARCH, for example http://127.0.0.1:8080/metal/x86_64',
  'http/too-long': LOOK,
  'http/too-short': 'the server has another file than the one that was signed, or cut it: publish again, or ask its operator',
  'http/stalled': RETRY,
  'http/interrupted': RETRY,
  'http/redirected': 'use the URL that the redirect names, if you trust it',
  'http/bad-url': 'give the URL of VARIANT/ARCH, for example https://updates.example.com/metal/x86_64, or a folder as ./DIR or /DIR',
  'http/proxy': 'check HTTP_PROXY, HTTPS_PROXY and NO_PROXY; a proxy with a password is http://USER:PASSWORD@HOST:PORT',
  'http/range': LOOK,
  'http/changed': RETRY,
  'http/bad-setting': 'correct the option or the environment variable; see docs/networks.md',
  'http/encoded': 'tell the server not to compress or transform JSON and targets',

  'tuf/not-json': 'check that the server does not answer with an error page',
  'tuf/malformed': 'gantry lint shows everything that is wrong with the repository',
  'tuf/key-unsupported': 'make a key with: gantry key generate NAME',
  'tuf/key-id-mismatch': 'gantry lint shows everything that is wrong with the repository',
  'tuf/threshold': LOOK,
  'tuf/not-portable': 'gantry lint shows every finding, and which client would stumble',
  'tuf/bad-target-path': 'rename the target',

  'keys/missing': ({ name }) => `gantry key generate ${name}, or say where the keys are with --keys-dir`,
  'keys/exists': 'choose another name; gantry never overwrites a private key',
  'keys/bad-name': 'choose another name, for example root-a',
  'keys/unreadable': 'check that it is the right file; gantry key list shows what is where',
  'keys/unsupported': undefined,
  'keys/passphrase-needed': '--passphrase-file FILE, --passphrase-fd N or GANTRY_PASSPHRASE give one without a terminal',
  'keys/passphrase-wrong': 'try again; nothing was signed with this key',
  'keys/pin-needed': '--pin-file FILE or GANTRY_PIN give one without a terminal',
  'keys/bad-reference': 'docs/keys.md shows how each kind is written: pkcs11:, aws-kms:, aws-ssm:, ssh-agent:, command:, file:',
  'keys/signer-failed': ({ name }) => `gantry key check ${name} tries it without signing anything that counts`,
  'keys/credentials': 'log in again (aws sso login), or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
  'keys/denied': 'for AWS, aws/kms-key.json and aws/ssm-key.json in the workspace are policies that suffice',
  'keys/no-answer': 'check the network, AWS_REGION and AWS_ENDPOINT_URL, and try again; nothing was signed with this key',
  'keys/mismatch': 'look for the right file with: gantry key list',
  'keys/token-support':
    'npm install pkcs11js@2.1.7 (compiled on the spot: it wants Python, make and a C++ compiler), or npm rebuild pkcs11js',
  'keys/token-library': 'GANTRY_PKCS11_MODULE=/PATH/OF/LIBRARY.so, or ?module-path=/PATH in the URL, says where it is',
  'keys/token-missing': 'gantry key list --pkcs11 shows every token and key, with the URL of each',
  'keys/token-key-missing': 'gantry key list --pkcs11 shows every token and key, with the URL of each',
  'keys/token-ambiguous': 'add serial=… for the token or id=… for the key; gantry key list --pkcs11 shows the URL of each',
  'keys/token-exists': 'give the new key another label: object=LABEL',
  'keys/token-pin-wrong': 'run it again with the right one; a token locks after a few wrong PINs',
  'keys/token-last-try': 'type it at a terminal: gantry key check; the right PIN brings the other tries back',
  'keys/token-locked': 'unlock it with the PUK or SO PIN: ykman piv access unblock-pin, or pkcs11-tool --init-pin --so-pin …',
  'keys/token-not-permitted': 'gantry key list --pkcs11 shows which keys may sign',
  'keys/token-removed': 'plug it in, then run the same command again',
  'keys/token-unsupported': "gantry key generate NAME --pkcs11 'pkcs11:token=LABEL;object=NAME' makes one that fits",
  'keys/token-failed': 'the documentation of the token says what that means; gantry key check tries the key',
  'keys/bad-signature': 'gantry key list shows which keys are at hand',
  'keys/example': 'make your own with: gantry key generate root-a root-b root-c targets online',

  'release/bad-version': 'write it like 1.2.3, without a leading v',
  'release/duplicate': ({ version }) => `choose a higher version; gantry release remove ${version} takes one that is only drafted away`,
  'release/not-newer': ({ newest }) => `choose a version above ${newest}`,
  'release/bad-manifest': LOOK,
  'release/bad-name': ({ what }) =>
    what === 'product'
      ? '--product NAME gives another one than the name of the directory'
      : what === 'migration'
        ? 'rename the file: migrate_vVERSION_NAME, with the version that needs it first; Release.toml names it with .lz4'
        : what === 'extra target'
          ? 'give it another name: --target NAME=FILE'
          : 'choose another name',
  'release/bad-custom': 'gantry lint shows everything that is wrong with the repository',
  'release/bad-duration': 'write it like 30 minutes, 14d or 2 weeks',
  'release/bad-time': 'write it like 2026-12-01T09:00:00Z, or "in 2 hours"',
  'release/bad-toml': 'correct the file and run the same command again',
  'release/bad-policy': ({ path }) => `correct the file, then look at what it does: gantry wave simulate --policy ${shellWord(path)}`,
  'release/unknown': 'gantry release list shows every release',
  'release/withdrawn': ({ version }) => `gantry release remove ${version}`,
  'release/no-path': 'add the missing step to Release.toml, then: gantry release add VERSION … --migrations Release.toml',
  'release/lint': ({ findings }) => findings[0]?.fix,
  'release/bad-release-file': 'correct the file and run the same command again',
  'release/bad-recall': 'gantry release list shows every release and its state',
  'release/stranded': ({ version, to, why }) =>
    why === 'waves'
      ? `gantry wave set ${to} --immediately, then recall`
      : why === 'targets'
        ? 'gantry release lint shows every target that is missing; gantry release list shows other releases to go back to'
        : `gantry release path ${version} ${to} shows where the chain breaks`,
  'release/bad-waves': 'gantry lint shows what is wrong; gantry wave set writes the waves anew',
  'release/rollout': ({ variant, arch, version, state }) => {
    const release = `${version} --variant ${variant} --arch ${arch}`;
    if (state === 'paused') return `gantry wave resume ${release} goes on`;
    if (state === 'done-by-then') return 'give a shorter --lead, and publish before that';
    return state === 'done'
      ? 'gantry release recall takes it back; gantry release list shows to what'
      : `gantry wave show ${release} shows where it stands`;
  },
  'release/bad-seed': 'seeds are whole numbers from 0 to 2047; settings.updates.seed on the host has one',

  'image/bad-input': 'check that the file is whole: lz4 -t FILE, zstd -t FILE',
  'image/empty': 'check that the image build has finished',
  'image/bad-frame': LOOK,
  'image/bad-frame-table': LOOK,
  'image/bad-gpt': ({ at }) =>
    at === 'compression'
      ? 'decompress it first: lz4 -d FILE or zstd -d FILE'
      : 'gantry image info DISK shows what can be read of it; build or copy the image again',
  'image/bad-lz4': LOOK,
  'image/bad-partitions': 'gantry image info DISK shows the partitions; correct the partition plan, and build the image again',
  'image/bad-zstd': LOOK,
  'image/too-long': LOOK,
  'image/not-blocks': 'pad the image to whole blocks of 4096 bytes',
  'image/worker-died': RETRY,
  'image/wrong-length': 'wait until the image is built, then run the same command again',
  'image/bad-verity': 'build it from the root image: gantry image verity build ROOT -o HASH; --no-verity-check releases without a tree',
  'image/verity-mismatch': 'build both again from one root image: gantry image verity build ROOT -o HASH',
  'image/root-hash': 'build the boot image again with this root hash; --no-verity-check releases them as they are',

  'repository/root-chain': LOOK,
  'repository/expired': 'gantry refresh && gantry sign && gantry publish',
  'repository/incomplete': ({ missing }) =>
    missing.length === 0 ? 'gantry sign' : 'gantry sign, here or where the missing keys are; gantry status shows which',
  'repository/rollback': LOOK,
  'repository/mismatch': LOOK,
  'repository/root-transition':
    'gantry root rotate OLD NEW replaces a key step by step; when the old one is lost or stolen: gantry refresh --all && gantry sign && gantry publish --recover',
  'repository/bad-threshold': 'gantry root set-threshold ROLE NUMBER changes it, gantry root add-key NAME --role ROLE adds a key',
  'repository/bad-root-edit': 'gantry root show lists the keys and thresholds of every role',
  'repository/bad-policy': 'write it like 14d or 2 weeks, in policies/expiry.toml',
  'repository/bad-draft': ({ at }) =>
    `gantry draft cancel${at === 'drafts/root.json' ? ' root' : ''} removes it, then make it again; what is published is not affected`,
  'repository/other-draft': 'gantry draft show FILE shows what is in a file; gantry draft cancel throws the draft of the workspace away',
  'repository/unexplained': 'ask who made the draft; the members were not written by gantry',
  'repository/bad-change': 'gantry target list and gantry delegation list show what is published',
  'repository/moved-on': SIGN_AND_PUBLISH,

  'store/missing': 'check the path or URL: a repository is VARIANT/ARCH in a store',
  'store/conflict': SIGN_AND_PUBLISH,
  'store/denied': 'check the permissions of the store in gantry.toml; for S3, aws/ in the workspace has policies',
  'store/failed': RETRY,
  'store/source-changed': 'gantry release add makes the release again from its images',
  'store/bad-location': 'write it like s3://my-bucket/os, in gantry.toml',
  'store/not-s3': 'check endpoint in the [s3] table of gantry.toml',
  'store/no-bucket': 'make the bucket, or correct its name in gantry.toml',
  'store/region': 'set region in the [s3] table of gantry.toml, or AWS_REGION',
  'store/clock': 'set the clock of this machine',
  'store/credentials': 'log in again (aws sso login), or set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
  'store/not-atomic': 'choose a server that keeps conditional writes (docs/hosting.md); --single-writer publishes there all the same',
  'store/bad-path': undefined,
  'store/too-long': LOOK,

  'workspace/not-one': 'gantry init NAME --variant V --arch A --store ./public makes one; -C DIR says where yours is',
  'workspace/exists': 'choose a new directory',
  'workspace/bad-store': '--store ./public names a directory beside or below the workspace',
  'workspace/bad-config': 'correct the file and run the same command again',
  'workspace/no-repository': 'choose with --variant and --arch',
  'workspace/no-policy': 'a name is a file in policies/waves/; anything with a dot or a slash is a path',
  'workspace/no-root': 'gantry root init, then gantry sign',
  'workspace/draft-waits': SIGN_AND_PUBLISH,
  'workspace/object-missing': 'gantry release add makes the release again from its images',

  'publish/conflict': `${SIGN_AND_PUBLISH} makes the draft again on top of what they published`,
  'publish/wrong-url': 'correct url in gantry.toml, or publish without looking: --verify none',
  'publish/not-visible': ({ url }) =>
    `hosts keep the system that they run. gantry doctor ${url} shows what is wrong with the hosting; when files are wrong, publish again over them: gantry refresh --all && gantry sign && gantry publish`,
  'publish/bad-plan': ({ path }) => `gantry publish --plan ${shellWord(path)} makes the plan again`,
  'publish/rolled-back': LOOK,
  'publish/too-late': 'run gantry wave pause or resume again: it replaces the one that came too late; --lead gives more time for signing',
  'publish/expired': ({ repository }) => {
    const [variant = '', arch = ''] = repository.split('/');
    return `make sure that it is what you published last: gantry release list; then: gantry refresh --even-expired --variant ${variant} --arch ${arch}`;
  },
  'publish/nothing': 'gantry release add makes a draft, gantry status shows where things stand',
  'publish/no-manifest': LOOK,
  'publish/target-differs': LOOK,
  'publish/target-lost':
    'put the file back from a copy of the store, or take its release out with gantry release remove; gantry verify --targets names all that is missing',
  'publish/foreign-objects':
    'correct store in gantry.toml: a folder or prefix of its own; if these may lie together, gantry publish --beside-others',
  'publish/being-removed': 'run the same command again in a moment; if gantry gc was cut off, an hour later',
  'publish/unverified': 'gantry lint shows what is wrong with a repository; one that is not yours may have to be moved elsewhere',

  'client/untrusted': LOOK,
  'client/expired': 'the operator publishes fresh metadata with: gantry refresh --even-expired && gantry sign && gantry publish',
  'client/rollback': LOOK,
  'client/target-unknown': 'gantry verify URL --root 1.root.json lists the targets',
  'client/target-altered': LOOK,
  'client/no-manifest': 'check the URL: it ends with VARIANT/ARCH',
  'client/bad-bundle': 'copy the file again from where it was made, and compare: gantry bundle create prints its SHA-256',
  'client/bad-root': 'give the 1.root.json that came with the product, not one from the server',

  'server/port-in-use': 'choose another one with --port, or leave it out to take a free one',
  'server/not-a-store': 'gantry publish fills the store',

  'usage/confirm': 'add --yes',
  'usage/option': 'gantry COMMAND --help shows examples',
  'usage/arguments': ({ command, suggestions }) =>
    suggestions.length === 0 ? `${command} --help shows how` : `did you mean ${suggestions.join(' or ')}? ${command} --help shows how`,
  aborted: 'run the same command again; nothing half-written was left',
};

export function hintFor<C extends ErrorCode>(error: GantryError<C>): string | undefined {
  const hint: Hint<C> = HINTS[error.code];
  return typeof hint === 'function' ? hint(error.details) : hint;
}

/** The hint of a code, where it is the same in every case. */
export function plainHint(code: ErrorCode): string | undefined {
  const hint = HINTS[code];
  return typeof hint === 'string' ? hint : undefined;
}
