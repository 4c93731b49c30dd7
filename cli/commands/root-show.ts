import { GantryError, quote } from '../../lib/errors.ts';
import type { Root, SignedRole } from '../../lib/tuf/types.ts';
import { keyNames, workspaceIfAny } from '../drafts.ts';
import { pathOf } from '../options.ts';
import type { CommandSpec } from '../program.ts';
import { openWorkspaceOnly } from '../session.ts';
import { formatWhen } from '../ui/format.ts';
import { paintResult, sign } from '../ui/style.ts';
import { table } from '../ui/table.ts';

const ROLES = ['root', 'targets', 'snapshot', 'timestamp'] as const;
const ROOT_MAX_BYTES = 512_000;

export const showRoot: CommandSpec = {
  name: 'show',
  arguments: [['[version]', 'of a root of the workspace (default: the newest)']],
  summary: 'who may sign what, until when, and who signed that',
  examples: ['gantry root show', 'gantry root show 1'],
  async run(context, [text], options) {
    const workspace = await openWorkspaceOnly(context, options);
    const { requireRootChain } = await import('../../lib/workspace/root-files.ts');
    const { spokenDigest } = await import('../../lib/tuf/spoken-digest.ts');
    const { signingPayload } = await import('../../lib/tuf/payload.ts');
    const { roots, latest } = await requireRootChain(workspace);
    const found = text === undefined ? latest : roots.find(({ role }) => String(role.version) === text);
    if (found === undefined) {
      throw new GantryError('usage/option', `Cannot show root ${quote(text ?? '')}: expected a version up to ${latest.role.version}`, {
        option: '[version]',
      });
    }
    const nameOf = await keyNames(workspace);
    const { role, signatures } = found;
    const digest = spokenDigest(signingPayload(role));
    const signedBy = signatures.map(({ keyid }) => keyid);
    const rows = ROLES.map((name) => [`  ${name}`, String(role.roles[name].threshold), role.roles[name].keyids.map(nameOf).join(', ')]);
    return {
      json: { version: role.version, expires: role.expires, roles: role.roles, keys: role.keys, signedBy, digest },
      lines: [
        `Root version ${role.version} of ${latest.role.version}, valid until ${role.expires} (${formatWhen(new Date(role.expires), context.now)})`,
        ...table(rows, { head: ['  role', 'needs', 'of'], right: [1] }),
        `  signed by ${signedBy.map(nameOf).join(', ')}`,
        `  digest    ${digest}`,
      ],
    };
  },
};

export const verifyRoot: CommandSpec = {
  name: 'verify',
  arguments: [['[files...]', 'roots in ascending order (default: those of the workspace)']],
  summary: 'whether each root is accepted by the one before it, and by every client',
  examples: ['gantry root verify', 'gantry root verify 1.root.json 2.root.json'],
  async run(context, files, options) {
    const workspace = files.length > 0 ? await workspaceIfAny(context, options) : await openWorkspaceOnly(context, options);
    const { requireRootChain } = await import('../../lib/workspace/root-files.ts');
    const { openRootChain } = await import('../../lib/repository/root-chain.ts');
    const { assertPortable } = await import('../../lib/tuf/lint.ts');
    const { readSignedRole } = await import('../../lib/tuf/role.ts');
    const { readWholeFile } = await import('../../lib/files/read.ts');
    const given: SignedRole<Root>[] = [];
    for (const file of files) given.push(readSignedRole(await readWholeFile(pathOf(context, file), { maxBytes: ROOT_MAX_BYTES }), 'root'));
    const chain = files.length === 0 && workspace !== undefined ? await requireRootChain(workspace) : openRootChain(given);
    for (const { role } of chain.roots) assertPortable(role);
    const nameOf = await keyNames(workspace);
    const { latest } = chain;
    const isExpired = new Date(latest.role.expires) <= context.now;
    return {
      json: {
        roots: chain.roots.map(({ role, sha256, signatures }) => ({
          version: role.version,
          expires: role.expires,
          sha256,
          signedBy: signatures.map(({ keyid }) => keyid),
        })),
        expired: isExpired,
      },
      lines: [
        ...chain.roots.map(
          ({ role, signatures }) =>
            `${paintResult('green', sign.done)} root version ${role.version}, signed by ${signatures.map(({ keyid }) => nameOf(keyid)).join(', ')}`,
        ),
        isExpired
          ? `The newest one expired at ${latest.role.expires}: hosts refuse what is under it. Next: gantry root expire`
          : `The newest one is valid until ${latest.role.expires}.`,
      ],
    };
  },
};
