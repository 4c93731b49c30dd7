/** Drafts as people read them: one block for each role that waits. */
import { named } from '../../lib/errors.ts';
import type { DraftView } from '../../lib/publish/draft-view.ts';
import type { RoleView, Tally } from '../../lib/repository/draft-view.ts';
import { paintResult, sign } from './style.ts';
import { wrapWords } from './format.ts';

type KeyNames = (keyId: string) => string;

const WIDTH = 80;

export function draftTitle({ repository }: Pick<DraftView, 'repository'>): string {
  return repository === undefined ? 'root' : `${named(repository.variant)}/${named(repository.arch)}`;
}

export function describeDraft(view: DraftView, nameOf: KeyNames): readonly string[] {
  return [
    `${paintResult('bold', draftTitle(view))}, drafted on top of ${view.base}`,
    ...stateLines(view),
    ...describeRoles(view.roles, nameOf),
  ];
}

function stateLines({ state, conflict }: DraftView): readonly string[] {
  switch (state) {
    case 'current':
    case 'unknown':
      return [];
    case 'overtaken':
      return [
        wrapped('Somebody has published since. It can be made again on top of that, as shown here; gantry sign does so.', '  ', '  '),
      ];
    case 'conflict':
      return [wrapped(`It cannot be made again on top of what is there now: ${conflict ?? ''}`, '  ', '  ')];
  }
}

/** One role: what it means, the digest to compare, and who has signed. */
export function describeRole(view: RoleView, nameOf: KeyNames): readonly string[] {
  return [
    `  ${view.role} version ${view.version}`,
    ...view.sentences.map((sentence) => wrapped(sentence, '    - ', '      ')),
    ...view.unexplained.map((member) =>
      paintResult('red', wrapped(`${member} differs, and gantry cannot tell what that means`, '    ! ', '      ')),
    ),
    `    digest  ${view.digest}`,
    ...view.tallies.map((tally) => describeTally(tally, view, nameOf)),
  ];
}

/** More roles than this that wait together, of a split for example, are told in a line each. */
const MANY = 6;

export function describeRoles(views: readonly RoleView[], nameOf: KeyNames): readonly string[] {
  return views.flatMap((view) => (views.length > MANY ? [briefRole(view)] : describeRole(view, nameOf)));
}

function briefRole({ role, version, sentences, unexplained, digest }: RoleView): string {
  const [first = 'changes dates', ...more] = [
    ...unexplained.map((member) => `${member} differs, and gantry cannot tell what that means`),
    ...sentences,
  ];
  return `  ${role} version ${version}: ${first}${more.length === 0 ? '' : `, and ${more.length} more`}; digest ${digest}`;
}

function describeTally(tally: Tally, { tallies }: RoleView, nameOf: KeyNames): string {
  const { need, signedBy, open, rootVersion } = tally;
  const isMet = signedBy.length >= need;
  const of = tallies.length > 1 ? ` of the keys of root ${rootVersion}` : '';
  const who = signedBy.length === 0 ? '' : `: ${signedBy.map(nameOf).join(', ')}`;
  const rest = isMet ? '' : `; missing ${need - signedBy.length} of ${open.map(nameOf).join(', ')}`;
  const mark = isMet ? paintResult('green', sign.done) : paintResult('yellow', sign.failed);
  return wrapped(`${signedBy.length} of ${need} signatures${of}${who}${rest}`, `    ${mark} `, '      ');
}

function wrapped(text: string, first: string, indent: string): string {
  return first + wrapWords(text, WIDTH - first.length, '').replaceAll('\n', `\n${indent}`);
}
