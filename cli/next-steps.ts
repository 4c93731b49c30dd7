/** What is to be done, as sentences and as the commands to type. */
import type { Action, ActionKind } from '../lib/publish/advice.ts';
import type { WorkspaceStatus } from '../lib/publish/status.ts';
import type { RepositoryName } from '../lib/workspace/config.ts';
import { steerAgain } from './edits.ts';
import { shellWord } from './ui/format.ts';

export interface Step {
  readonly kind: ActionKind;
  readonly repositories: readonly RepositoryName[];
  readonly why: string;
  /** To type; several when one does not do all of it. */
  readonly commands: readonly string[];
}

type KeyNames = (keyId: string) => string;

/** @param context.storeText the store as gantry.toml names it */
export function stepsOf(
  status: WorkspaceStatus,
  { nameOf, storeText }: { readonly nameOf: KeyNames; readonly storeText: string },
): readonly Step[] {
  return status.actions.map((action) => ({
    kind: action.kind,
    repositories: action.repositories,
    why: whyOf(action, nameOf),
    commands: commandsOf(action, status, storeText),
  }));
}

function commandsOf(action: Action, status: WorkspaceStatus, storeText: string): readonly string[] {
  const chosen = action.ofAll ? [''] : action.repositories.map(choiceOf);
  const each = (command: (choice: string) => string): readonly string[] => chosen.map(command);
  const flag = action.expired === true ? ' --even-expired' : '';
  switch (action.kind) {
    case 'make-root':
      return ['gantry root init --root NAMES --targets NAMES --snapshot NAMES --timestamp NAMES'];
    case 'look':
      return problemsOf(status).map((code) => `gantry explain ${code}`);
    case 'restore-root':
      return restores(status, storeText);
    case 'cancel-draft':
      return action.repositories.length === 0
        ? ['gantry draft cancel root']
        : action.repositories.map((one) => `gantry draft cancel ${nameOfOne(one)}`);
    case 'steer-again':
      return status.repositories.flatMap(({ draft }) => draft?.late.slice(0, 1) ?? []).map(steerAgain);
    case 'sign':
      return ['gantry sign'];
    case 'wait-for-signatures':
      return ['gantry sign where the missing keys are'];
    case 'publish':
      return each((choice) => `gantry publish${choice}`);
    case 'renew-root':
      return ['gantry root expire && gantry sign && gantry publish'];
    case 'refresh':
      return each((choice) => `gantry refresh${flag}${choice} && gantry sign && gantry publish${choice}`);
    case 'refresh-elsewhere':
      return each((choice) => `gantry refresh${flag}${choice} where the keys of targets are`);
    case 'add-release':
      return each((choice) => `gantry release add VERSION --boot FILE --root FILE --hash FILE${choice}`);
  }
}

function whyOf({ kind, expired, missing = [] }: Action, nameOf: KeyNames): string {
  const lacking = missing.map(
    ({ role, version, have, need, candidates }) =>
      `${role} ${version} has ${have} of ${need} signatures, open: ${candidates.map(nameOf).join(', ')}`,
  );
  switch (kind) {
    case 'make-root':
      return 'there is no root yet, so nothing can be signed';
    case 'look':
      return 'what the store has cannot be used';
    case 'restore-root':
      return 'hosts that start from an older root stop at one that the store lacks';
    case 'cancel-draft':
      return 'the draft does not fit what is there by now, and cannot be made again';
    case 'steer-again':
      return 'a pause or resumption came too late to be published';
    case 'sign':
      return 'a draft waits, and a key for it is at hand';
    case 'wait-for-signatures':
      return lacking.join('; ');
    case 'publish':
      return 'what is signed is not published';
    case 'renew-root':
      return 'the root is due, and no newer one is drafted';
    case 'refresh':
      return expired === true ? 'what is live has expired: hosts refuse it' : 'what is live is due';
    case 'refresh-elsewhere':
      return `targets is ${expired === true ? 'due, or has expired' : 'due'}, and its keys are elsewhere: ${missing.flatMap(({ candidates }) => candidates.map(nameOf)).join(', ')}`;
    case 'add-release':
      return 'nothing is published yet';
  }
}

function choiceOf({ variant, arch }: RepositoryName): string {
  return ` --variant ${shellWord(variant)} --arch ${shellWord(arch)}`;
}

function nameOfOne({ variant, arch }: RepositoryName): string {
  return shellWord(`${variant}/${arch}`);
}

function problemsOf({ repositories }: WorkspaceStatus): readonly string[] {
  return [...new Set(repositories.flatMap(({ problem }) => problem?.code ?? []))];
}

/** The workspace has every root; each goes where the store lacks it. */
function restores({ repositories }: WorkspaceStatus, storeText: string): readonly string[] {
  const copy = storeText.startsWith('s3://') ? 'aws s3 cp' : 'cp';
  const base = storeText.replace(/\/$/u, '');
  return repositories.flatMap(({ repository, rootsMissing }) =>
    rootsMissing.map((version) => `${copy} ${version}.root.json ${shellWord(`${base}/${repository.variant}/${repository.arch}/`)}`),
  );
}
