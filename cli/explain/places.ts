/** What the errors of stores, workspaces, publications and hosts mean, and why they are errors. */
import type { ErrorCode } from '../../lib/errors.ts';
import type { Explained } from './explain.ts';

type Code = Extract<ErrorCode, `${'store' | 'workspace' | 'publish' | 'client'}/${string}`>;

export const placeErrors: Readonly<Record<Code, Explained>> = {
  'store/missing': ['the store has no such object', 'other metadata names it, so the repository is not complete, or the path is wrong'],
  'store/conflict': [
    'an object is there already, or is another one than expected',
    'somebody else is publishing; nothing of theirs is overwritten',
  ],
  'store/denied': [
    'the store does not allow it',
    'that is never read as "there is nothing": an empty repository would be published over the real one',
  ],
  'store/failed': ['the store failed', 'what it did is unknown until somebody looks; running the command again does'],
  'store/source-changed': ['an image changed between signing and uploading', 'hosts would refuse what was not signed'],
  'store/bad-location': ['that is no place for a store', 'nothing was written'],
  'store/not-s3': ['what answers there is not S3', 'what it promises about writes is unknown'],
  'store/no-bucket': ['there is no such bucket', 'nothing was written'],
  'store/region': ['the bucket is in another region', 'requests must be signed for the region of the bucket'],
  'store/clock': [
    'the clock of this machine is wrong',
    'the store refuses requests with another time, and dates in metadata would be wrong too',
  ],
  'store/credentials': ['nobody is logged in to the store, or not any more', 'nothing was written'],
  'store/not-atomic': ['the store does not keep conditional writes', 'two who publish at once would overwrite each other, unseen'],
  'store/bad-path': [
    'a name that cannot be one in a store',
    'it would lead out of the store, or mean something else on another one',
    'rename the target or the repository',
  ],
  'store/too-long': ['an object is longer than metadata may be', 'every client has these limits'],
  'workspace/not-one': ['there is no gantry.toml here or above', 'without it nobody knows which repositories and which store are meant'],
  'workspace/exists': ['there is something in that directory', 'a new workspace replaces nothing'],
  'workspace/bad-store': ['the store of gantry.toml cannot be used', 'publications would end up where nobody looks'],
  'workspace/bad-config': ['a file of the workspace cannot be used', 'what is misread could sign or publish the wrong thing'],
  'workspace/no-repository': ['that choice picks no repository, or several', 'the wrong one must not be changed'],
  'workspace/no-policy': ['there is no wave policy of that name', 'hosts would all be let in at once'],
  'workspace/no-root': ['the workspace has no complete root', 'nothing can be signed or verified without one'],
  'workspace/draft-waits': ['a draft waits already', 'a second one would have to be undone'],
  'workspace/object-missing': ['an image of the draft is neither here nor in the store', 'metadata must not name what hosts cannot fetch'],
  'publish/conflict': [
    'somebody published first',
    'timestamp.json is replaced only when it is still the one that the draft was made from; nothing is lost',
  ],
  'publish/wrong-url': ['the public URL shows another repository than the store', 'hosts would not see what is published'],
  'publish/not-visible': [
    'it is published, but hosts cannot use what they see',
    'a cache or the hosting is in the way',
    'gantry doctor URL shows what is wrong with the hosting',
  ],
  'publish/bad-plan': [
    'a plan was changed, or is of another store',
    'it is carried out exactly, or not at all',
    'gantry publish --plan FILE makes the plan again',
  ],
  'publish/rolled-back': [
    'the store has an older version than this workspace has seen',
    'somebody may have put an old copy back, and signing on top of it would help them',
  ],
  'publish/too-late': [
    'a pause or a resumption was not published in time',
    'published later, it would take an update from hosts that have it',
  ],
  'publish/expired': [
    'what is live has expired, and a refresh would give it new dates',
    'whoever holds the store can replay an old repository; only a person can tell that it is the newest one',
    'look at gantry release list and at what you published last; then: gantry refresh --even-expired',
  ],
  'publish/nothing': ['nothing waits to be published', 'there is nothing to do'],
  'publish/no-manifest': [
    'the live manifest.json is missing, or not the one that was signed',
    'releases cannot be changed without knowing what they are',
  ],
  'publish/target-differs': [
    'the store has another file under the name of a target',
    'names are digests: that file is damaged, or somebody changed it',
  ],
  'publish/target-lost': ['a target that is published is missing from the store', 'hosts that choose it cannot download it'],
  'publish/foreign-objects': ['the store holds things that are not of a repository', 'they may belong to somebody, and are not touched'],
  'publish/being-removed': [
    'an object that is needed is just being collected as garbage',
    'both at once would leave metadata without its files',
  ],
  'publish/unverified': ['a repository of the store does not verify', 'nothing is removed while nobody knows what is needed'],
  'client/untrusted': ['signatures are missing or wrong', 'this is what protects hosts from a forged repository'],
  'client/expired': ['the metadata has expired', 'somebody may be keeping hosts on an old release; or nobody renewed it in time'],
  'client/rollback': [
    'the server shows an older version than was trusted',
    'somebody may be replaying an old repository; or a cache is late',
  ],
  'client/target-unknown': ['no signed metadata names that file', 'what nobody signed is not downloaded'],
  'client/target-altered': [
    'a file is not the one that was signed',
    'it was damaged on its way, or somebody changed it; nothing of it was kept',
  ],
  'client/no-manifest': ['the repository has no manifest.json', 'hosts cannot choose an update without one'],
  'client/bad-root': ['the trusted root cannot be used', 'everything else is judged by it'],
  'client/bad-bundle': ['the file is no bundle', 'it is damaged, or made so that a reader of tar files stumbles; nothing of it was used'],
};
