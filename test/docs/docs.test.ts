/** Every shell and TypeScript example of the documentation is run as it stands, in a situation that its mark names. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { startStaticServer } from '../../lib/server/static-server.ts';
import { temporaryDirectory, writeImages } from '../support/engineer.ts';
import { writeDiskOf } from '../support/gpt.ts';
import { awsSceneEnvironment, REGION } from '../support/aws-scene.ts';
import { startFakeAws } from '../support/fake-aws.ts';
import { startSoftHsm, TOKEN_PIN } from '../support/softhsm.ts';
import { generatePrivateKey } from '../../lib/keys/generate.ts';
import { startAgent } from '../support/ssh-agent.ts';
import { requireTool } from '../support/tools.ts';

const runFile = promisify(execFile);
const ROOT = join(import.meta.dirname, '..', '..');
const KEYS = 'gantry key generate root-a root-b root-c targets online';
const ROOT_INIT =
  'gantry root init --root root-a,root-b,root-c --threshold root=2 --targets targets --snapshot online --timestamp online && gantry sign';
const RELEASE = 'gantry release add 1.0.0 --boot boot.img --root root.img --hash hash.img && gantry sign && gantry publish';

const FIRST = RELEASE.replace('1.0.0', '1.1.0');
const NEXT = 'gantry release add 1.2.0 --boot boot.img --root root.img --hash hash.img --compression both --wave-policy default-waves';
const SIGN_AND_PUBLISH = 'gantry sign && gantry publish';
const RECALL = 'gantry release recall 1.2.0 --to 1.1.0';

/** What was published lies where tuftool leaves it, with its keys; the workspace and the keys directory know nothing of it. */
const LIKE_TUFTOOL = [
  'mkdir old && mv public/metal/x86_64 old/metadata && mv public/targets old/targets && mv 1.root.json old/root.json',
  'mv ../config/gantry/keys/my-os/*.pem old/ && rm old/*.pub.pem',
  'rm -r public keys .gantry',
].join('\n');

type Situation =
  | 'empty'
  | 'workspace'
  | 'keys'
  | 'images'
  | 'published'
  | 'served'
  | 'host'
  | 'agent'
  | 'token'
  | 'aws'
  | 'tuftool'
  | 'released'
  | 'rollout'
  | 'rolling'
  | 'recalled';

/** What was done before the example, and where the reader stands. */
const BEFORE: Readonly<Record<Situation, readonly string[]>> = {
  empty: [],
  workspace: [],
  keys: [KEYS],
  images: [KEYS, ROOT_INIT],
  published: [KEYS, ROOT_INIT, RELEASE],
  served: [KEYS, ROOT_INIT, RELEASE],
  host: [KEYS, ROOT_INIT, RELEASE],
  agent: [KEYS, ROOT_INIT],
  token: [KEYS, ROOT_INIT],
  aws: [KEYS, ROOT_INIT, RELEASE],
  tuftool: [KEYS, ROOT_INIT, RELEASE, LIKE_TUFTOOL],
  released: [KEYS, ROOT_INIT, FIRST],
  rollout: [KEYS, ROOT_INIT, FIRST, NEXT],
  rolling: [KEYS, ROOT_INIT, FIRST, NEXT, SIGN_AND_PUBLISH],
  recalled: [KEYS, ROOT_INIT, FIRST, NEXT, SIGN_AND_PUBLISH, RECALL, SIGN_AND_PUBLISH],
};

interface Example {
  readonly file: string;
  readonly line: number;
  readonly language: string;
  readonly situation: string | undefined;
  readonly code: string;
}

async function readExamples(): Promise<readonly Example[]> {
  const docs = (await readdir(join(ROOT, 'docs'))).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`);
  const examples = await Promise.all(
    ['README.md', 'CONTRIBUTING.md', ...docs].map(async (file) => examplesOf(file, await readFile(join(ROOT, file), 'utf8'))),
  );
  return examples.flat();
}

function examplesOf(file: string, text: string): readonly Example[] {
  const fence = /(?:<!-- executed by test\/docs: (?<situation>[a-z]+) -->\n)?```(?<language>sh|bash|ts|js|json5?)\n(?<code>[\s\S]*?)```/gu;
  return [...text.matchAll(fence)].map((match) => ({
    file,
    line: text.slice(0, match.index).split('\n').length,
    language: match.groups?.['language'] ?? '',
    situation: match.groups?.['situation'],
    code: match.groups?.['code'] ?? '',
  }));
}

/** `gantry` on PATH is this checkout's; the passphrase is in the environment, as in a CI. */
function environment(directory: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    PATH: `${join(directory, 'bin')}:${process.env['PATH'] ?? ''}`,
    XDG_CONFIG_HOME: join(directory, 'config'),
    GANTRY_PASSPHRASE: 'a passphrase',
    NO_COLOR: '1',
  };
}

async function shell(script: string, cwd: string, env: NodeJS.ProcessEnv): Promise<string> {
  const { stdout } = await runFile('bash', ['-euo', 'pipefail', '-c', script], { cwd, env, maxBuffer: 16 << 20 });
  return stdout;
}

const cleanups: (() => Promise<void>)[] = [];
after(async () => {
  for (const cleanup of cleanups) await cleanup();
});

/** Directories in which these lines were run, each made from the one with a line less. */
const templates = new Map<string, Promise<string>>();

async function templateAfter(lines: readonly string[]): Promise<string> {
  const key = lines.join('\n');
  const known = templates.get(key);
  if (known !== undefined) return known;
  const making = makeTemplate(lines);
  templates.set(key, making);
  return making;
}

async function makeTemplate(lines: readonly string[]): Promise<string> {
  const directory = await temporaryDirectory({ after: (work) => cleanups.push(work) });
  const last = lines.at(-1);
  if (last !== undefined) {
    await cp(await templateAfter(lines.slice(0, -1)), directory, { recursive: true });
    await shell(last, join(directory, 'my-os'), environment(directory));
    return directory;
  }
  const bin = join(directory, 'bin');
  await mkdir(bin);
  await writeFile(join(bin, 'gantry'), `#!/bin/sh\nexec "${process.execPath}" "${join(ROOT, 'cli', 'gantry.ts')}" "$@"\n`);
  await chmod(join(bin, 'gantry'), 0o755);
  await shell('gantry init my-os --variant metal --arch x86_64 --store my-os/public', directory, environment(directory));
  const workspace = join(directory, 'my-os');
  await writeDiskOf(join(workspace, 'disk.img'), await writeImages(workspace));
  return directory;
}

/** A directory of the test's own, where the situation's lines were run. */
async function prepare(
  t: TestContext,
  situation: Situation,
): Promise<{ readonly directory: string; readonly workspace: string; readonly env: NodeJS.ProcessEnv }> {
  const directory = await temporaryDirectory(t);
  await cp(await templateAfter(BEFORE[situation]), directory, { recursive: true });
  return { directory, workspace: join(directory, 'my-os'), env: environment(directory) };
}

/** Who holds a key in a situation, and how it is found. */
const HOLDERS: Readonly<Record<string, (t: TestContext) => Promise<NodeJS.ProcessEnv | undefined>>> = {
  async agent(t) {
    const agent = await startAgent(t);
    await agent?.add('ana@laptop', '-t', 'ed25519');
    return agent?.env;
  },
  async token(t) {
    const hsm = await startSoftHsm(t);
    if (hsm === undefined) return undefined;
    return { SOFTHSM2_CONF: process.env['SOFTHSM2_CONF'], GANTRY_PIN: TOKEN_PIN, GANTRY_PKCS11_MODULE: hsm.library };
  },
  async aws(t) {
    const aws = await startFakeAws(t);
    aws.keys.set(`${REGION} alias/os-online`, { privateKey: await generatePrivateKey('ecdsa'), spec: 'ECC_NIST_P256' });
    return awsSceneEnvironment(aws);
  },
};

async function runShell(t: TestContext, { code, situation }: Example): Promise<void> {
  const { directory, workspace, env } = await prepare(t, situation as Situation);
  if (situation === 'empty') {
    // The reader's images lie in the workspace that the first line makes; a server would run until Ctrl-C.
    const images = join(directory, 'images');
    await mkdir(images);
    for (const image of ['boot.img', 'root.img', 'hash.img']) await cp(join(workspace, image), join(images, image));
    await rm(workspace, { recursive: true });
    const cd = `cd() { builtin cd "$@"; cp "${images}"/*.img .; }`;
    await shell(`${cd}\n${code.replace(/^gantry serve$/mu, 'timeout --preserve-status --signal=INT 3 gantry serve')}`, directory, env);
    return;
  }
  const holder = HOLDERS[situation ?? ''];
  if (holder !== undefined) {
    const own = await holder(t);
    // Undefined: the test is skipped by the name of what is absent.
    if (own !== undefined) await shell(code, workspace, { ...env, ...own });
    return;
  }
  if (situation !== 'served') {
    await shell(code, workspace, env);
    return;
  }
  const server = await startStaticServer({ directory: join(workspace, 'public') });
  t.after(async () => server.close());
  const [file = ''] = (await readdir(join(workspace, 'public', 'targets'))).filter((name) => name.endsWith('.zst'));
  const filled = code.replaceAll('PORT', String(server.port)).replaceAll('TARGET', file.slice(65)).replaceAll(' FILE', ' out.file');
  await shell(filled, workspace, { ...env, URL: server.url.href.replace(/\/$/u, ''), FILE: file });
}

/** A module of the reader's own, beside an installed package; it finds what it needs in the environment. */
async function runTypeScript(t: TestContext, { code }: Example): Promise<void> {
  const { directory, workspace, env } = await prepare(t, 'host');
  const server = await startStaticServer({ directory: join(workspace, 'public') });
  t.after(async () => server.close());
  const module = join(directory, 'host.ts');
  await writeFile(module, code.replaceAll("'gantry-tuf/client'", JSON.stringify(join(ROOT, 'lib', 'client', 'index.ts'))));
  await cp(join(workspace, '1.root.json'), join(directory, '1.root.json'));
  await runFile(process.execPath, [module], { cwd: directory, env: { ...env, METADATA_URL: new URL('metal/x86_64/', server.url).href } });
}

const examples = await readExamples();

test('every example says in which situation it is run', () => {
  const unmarked = examples.filter(({ situation }) => situation === undefined || !(situation in BEFORE));
  assert.deepEqual(
    unmarked.map(({ file, line }) => `${file}:${line}`),
    [],
  );
  assert.ok(examples.length >= 8);
});

for (const example of examples) {
  test(`${example.file}:${example.line} runs as it stands`, async (t) => {
    for (const tool of ['bash', ...['curl', 'lz4', 'openssl', 'rsync', 'zstd'].filter((name) => example.code.includes(`${name} `))]) {
      if (!requireTool(t, tool)) return;
    }
    await (example.language === 'ts' ? runTypeScript(t, example) : runShell(t, example));
  });
}
