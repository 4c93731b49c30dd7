/** What the errors of releases, images and metadata that is being made mean, and why they are errors. */
import type { ErrorCode } from '../../lib/errors.ts';
import type { Explained } from './explain.ts';

type Code = Extract<ErrorCode, `${'release' | 'image' | 'repository'}/${string}`>;

const ON_ITS_WAY = 'either it was damaged on its way, or somebody changed it';

export const contentErrors: Readonly<Record<Code, Explained>> = {
  'release/bad-version': ['that is no version number', 'hosts compare versions to decide what is newer'],
  'release/duplicate': [
    'the version is released already',
    'one version must be one set of images on every host',
    'choose a higher version',
  ],
  'release/not-newer': [
    'there is a newer release',
    'hosts would never be offered this one',
    'choose a higher version than gantry release list shows',
  ],
  'release/bad-manifest': ['the signed manifest.json is not one', 'hosts decide by it, and each would make something else of it'],
  'release/bad-name': [
    'a name that hosts or clients do not accept',
    'it would be signed and published, and could not be fetched',
    'rename the file; names are made of A-Z a-z 0-9 . _ - and +',
  ],
  'release/bad-custom': ['what gantry keeps beside a target cannot be read', 'agents check images by it'],
  'release/bad-duration': ['that is no length of time', 'a bare m could be minutes or months'],
  'release/bad-time': ['that is no moment', 'a date that is misread lets hosts in at the wrong time'],
  'release/bad-toml': ['the file is not TOML', 'nothing in it can be relied on'],
  'release/bad-policy': [
    'a wave policy says something that makes no schedule',
    'hosts would come at times that nobody meant',
    'correct the file, then look at what it does: gantry wave simulate --policy FILE',
  ],
  'release/bad-seed': ['a seed that no host has', 'there is nothing to compute for it'],
  'release/unknown': ['there is no such release', 'nothing was changed'],
  'release/withdrawn': [
    'the release was recalled',
    'nobody is offered it, so there is nothing to steer',
    'gantry release remove VERSION once its hosts have gone back',
  ],
  'release/no-path': [
    'no chain of migrations leads from one version to the other',
    'stock hosts refuse an update that they cannot migrate to',
  ],
  'release/lint': [
    'the change would break a release for hosts',
    'it is refused before anybody signs it',
    'gantry release lint shows every finding and what to do',
  ],
  'release/bad-release-file': ['Release.toml says something that cannot be used', 'hosts run the migrations that it names'],
  'release/bad-recall': ['hosts cannot be sent back to that version', 'they would be told to go back and have nowhere to go'],
  'release/stranded': [
    'hosts that go back would be stuck',
    'a recall must lead to a release that they can install at once',
    'gantry release list shows where they could go; gantry release path FROM TO shows how',
  ],
  'release/bad-waves': ['the waves of a release cannot be read', 'hosts would stop, or all come at once'],
  'release/rollout': [
    'the rollout is not in a state in which that makes sense',
    'a pause of what is over would change nothing, or take an update back',
    'gantry wave show VERSION shows where it stands',
  ],
  'image/bad-input': ['a compressed file is damaged', 'what cannot be decompressed cannot be measured and signed'],
  'image/empty': ['an image is empty', 'hosts that install it would not boot'],
  'image/bad-frame': ['a frame of an image is not the one that was signed', ON_ITS_WAY],
  'image/bad-frame-table': ['a frame table is not the one that was signed', ON_ITS_WAY],
  'image/bad-gpt': [
    'the partition table of a disk image cannot be used',
    'images cut at the wrong places do not boot',
    'gantry image info DISK shows what can be read of it',
  ],
  'image/bad-lz4': ['lz4 data is damaged', ON_ITS_WAY],
  'image/bad-partitions': [
    'the partitions of the disk image are not those of a release',
    'it is not known which one is boot, root and hash',
  ],
  'image/bad-zstd': ['zstd data is damaged', ON_ITS_WAY],
  'image/too-long': ['data decompresses to more than was signed', 'a small file that fills the disk is an attack'],
  'image/not-blocks': ['an image is not a whole number of blocks', 'dm-verity works on blocks of 4096 bytes'],
  'image/worker-died': ['a thread of gantry stopped', 'nothing that it worked on was kept'],
  'image/wrong-length': ['an image changed its length while it was read', 'what is signed must be what was looked at'],
  'image/bad-verity': ['a hash image cannot be read', 'hosts that install it would not boot'],
  'image/verity-mismatch': ['root image and hash image do not belong together', 'hosts that install them would not boot'],
  'image/root-hash': ['the boot image names another root hash', 'hosts that install it would not boot'],
  'repository/root-chain': ['a root does not follow from the one before it', 'the chain of roots is what all trust hangs on'],
  'repository/expired': ['a role has expired before it was published', 'hosts would refuse it at once'],
  'repository/incomplete': [
    'signatures are missing',
    'hosts would refuse a role below its threshold',
    'gantry sign, here or where the missing keys are; gantry status names them',
  ],
  'repository/rollback': [
    'an older version than the one that was trusted',
    'somebody may be replaying an old repository to keep hosts on old releases',
  ],
  'repository/mismatch': ['a file is not the one that its parent names', 'somebody may be mixing files of two publications'],
  'repository/root-transition': [
    'the new root does not accept what is live',
    'hosts that take it would refuse everything until the roles are signed again',
  ],
  'repository/bad-threshold': ['a threshold that the keys of the role cannot meet', 'nobody could ever sign the role'],
  'repository/bad-root-edit': [
    'a change of the root that makes no sense, or would leave a role without enough keys',
    'a root that cannot be signed or replaced is the end of a repository',
  ],
  'repository/bad-policy': [
    'policies/expiry.toml says something that cannot be used',
    'a wrong date lets a repository expire, or keeps an old one valid',
  ],
  'repository/bad-draft': [
    'a draft is not what its changes make, or cannot be read',
    'what people read before they sign must be what they sign',
    'gantry draft cancel throws it away; then make it again',
  ],
  'repository/other-draft': ['two files are not of one draft', 'signatures of one do not count for the other'],
  'repository/unexplained': ['a role has members that gantry cannot put into words', 'nobody should sign what they cannot read'],
  'repository/bad-change': ['a change makes no sense on what is published', 'nothing was drafted'],
  'repository/moved-on': ['somebody published since the draft was made', 'publishing it would undo what they did'],
};
