/** `gantry import` as people type it. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { test, type TestContext } from 'node:test';
import { gantry, type CliResult } from '../support/cli.ts';
import { temporaryDirectory } from '../support/engineer.ts';

const FIXTURE = join(import.meta.dirname, '..', '..', 'fixtures', 'repositories', 'tuftool');
const CHOICE = ['--variant', 'metal', '--arch', 'x86_64'];

interface Scene {
  readonly workspace: string;
  readonly directory: string;
  run(...args: readonly string[]): Promise<CliResult>;
}

/** A new workspace, and what tuftool wrote in the layout of pubsys. */
async function scene(t: TestContext): Promise<Scene> {
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, 'old', 'metal'), { recursive: true });
  await cp(join(FIXTURE, 'metadata'), join(directory, 'old', 'metal', 'x86_64'), { recursive: true });
  await cp(join(FIXTURE, 'targets'), join(directory, 'old', 'targets'), { recursive: true });
  const { code, stderr } = await gantry(['init', 'my-os', ...CHOICE, '--store', 'public'], { cwd: directory });
  assert.equal(code, 0, stderr);
  const workspace = join(directory, 'my-os');
  return { workspace, directory, run: async (...args) => gantry(['import', ...args], { cwd: workspace }) };
}

async function infra({ directory }: Scene, sha512: string): Promise<void> {
  const base = pathToFileURL(`${join(directory, 'old')}/`).href;
  const text = `[repo.default]\nmetadata_base_url = "${base}"\ntargets_url = "${base}targets/"\nroot_role_sha512 = "${sha512}"\nsigning_keys = { kms = { key_id = "1234" } }\n`;
  await writeFile(join(directory, 'Infra.toml'), text);
}

test('gantry import --infra goes where Infra.toml says, and tells how its key is brought in', async (t) => {
  const here = await scene(t);
  const root = join(here.directory, 'old', 'metal', 'x86_64', '1.root.json');
  await infra(
    here,
    createHash('sha512')
      .update(await readFile(root))
      .digest('hex'),
  );
  const { code, stdout, stderr } = await here.run('--infra', '../Infra.toml', '--root', root, ...CHOICE);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /goes on with metal\/x86_64 at timestamp 5, root 1, with 2 targets: 6 objects new in the store/u);
  assert.match(stdout, /^Next: gantry key import \S+ aws-kms:\/\/\/1234 /mu);
  assert.ok((await readdir(here.workspace)).includes('1.root.json'));
});

for (const [what, args, code, message] of [
  ['nothing says where it is', ['--trust-first-root'], 2, /nothing says where the repository is; expected its URL, or --infra FILE/u],
  ['nothing says whom to believe', ['../old/metal/x86_64'], 2, /without knowing whom to believe/u],
  [
    'the URL is given twice',
    ['../old/metal/x86_64', '--infra', '../Infra.toml', '--trust-first-root', ...CHOICE],
    2,
    /together with a URL/u,
  ],
  ['Infra.toml has many', ['--infra', '../Infra.toml', '--trust-first-root'], 2, /expected --variant and --arch/u],
  [
    'the workspace has no such repository',
    ['../old/metal/x86_64', '--trust-first-root', '--variant', 'cloud'],
    3,
    /this workspace has metal\/x86_64/u,
  ],
  [
    'the root is another one than Infra.toml says',
    ['--infra', '../Infra.toml', '--root', '../old/metal/x86_64/1.root.json', ...CHOICE],
    2,
    /its SHA-512 is/u,
  ],
  ['there is nothing', ['../nowhere/metal/x86_64', '--trust-first-root'], undefined, /^error: Cannot /u],
] as const) {
  test(`gantry import refuses, with a hint, when ${what}`, async (t) => {
    const here = await scene(t);
    await infra(here, 'ab'.repeat(64));
    const { code: exit, stderr } = await here.run(...args);
    assert.notEqual(exit, 0);
    if (code !== undefined) assert.equal(exit, code, stderr);
    assert.match(stderr, message);
    assert.match(stderr, /\nhint: /u);
    assert.ok(!(await readdir(here.directory)).includes('public'));
  });
}
