/**
 * The linter's rules, the layers among them: which room may import which (the table in CONTRIBUTING.md). Permissions are transitive.
 */
import { builtinModules } from 'node:module';
import { defineConfig } from 'oxlint';

/** Direct permissions, besides `errors` and Node's own modules. */
export const ROOMS: Readonly<Record<string, readonly string[]>> = {
  aws: [],
  files: [],
  http: [],
  tuf: [],
  keys: ['tuf', 'files', 'aws'],
  release: ['tuf'],
  image: [],
  repository: ['tuf', 'release', 'image'],
  store: ['files', 'aws'],
  workspace: ['repository', 'release', 'image', 'keys', 'files'],
  client: ['tuf', 'release', 'image', 'files', 'http'],
  publish: ['repository', 'workspace', 'store', 'client'],
  host: ['client', 'release', 'image', 'files'],
  server: ['publish', 'store', 'keys'],
};

/** No file system, no network, no clock. */
export const PURE_ROOMS: readonly string[] = ['tuf', 'release', 'image', 'repository'];

/** Everything that a room reaches by its permissions. */
export function reachable(room: string): ReadonlySet<string> {
  const seen = new Set([room]);
  const waiting = [room];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    for (const other of ROOMS[next] ?? []) {
      if (seen.has(other)) continue;
      seen.add(other);
      waiting.push(other);
    }
  }
  return seen;
}

/** What computes; everything else of Node touches the machine, the network or the clock. */
const PURE_MODULES: ReadonlySet<string> = new Set(['buffer', 'crypto', 'stream', 'util', 'worker_threads', 'zlib']);
const impureModules = new Set(builtinModules.map((name) => name.replace('node:', '')).filter((name) => !PURE_MODULES.has(name)));
const IMPURE_GLOBALS = ['fetch', 'performance', 'process', 'setImmediate', 'setInterval', 'setTimeout', 'WebSocket'];

interface RestrictedImport {
  readonly regex: string;
  readonly message: string;
}

/** Every room that `files` may not import, however many folders lie in between. */
function roomsExcept(allowed: ReadonlySet<string>, message: string): RestrictedImport {
  const forbidden = Object.keys(ROOMS).filter((room) => !allowed.has(room));
  return { regex: `^\\.[./]*/(?:lib/)?(?:${[...forbidden, 'cli', 'test'].join('|')})/`, message };
}

const layers = Object.keys(ROOMS).map((room) => {
  const isPure = PURE_ROOMS.includes(room);
  const message = `lib/${room} is pure: time and bytes come in as arguments`;
  const rooms = roomsExcept(reachable(room), `lib/${room} may import no room but ${[...reachable(room)].join(', ')}`);
  const modules = { regex: `^(?:node:)?(?:${[...impureModules].join('|')})$`, message };
  return {
    files: [`lib/${room}/**/*.ts`],
    rules: {
      'no-restricted-imports': ['error', { patterns: isPure ? [rooms, modules] : [rooms] }],
      'no-restricted-globals': isPure ? ['error', ...IMPURE_GLOBALS.map((name) => ({ name, message }))] : 'off',
      'no-restricted-properties': isPure ? ['error', { object: 'Date', property: 'now', message }] : 'off',
    },
  } as const;
});

/** `lib/errors.ts` and the public entries. */
const entries = [
  {
    files: ['lib/errors.ts'],
    rules: { 'no-restricted-imports': ['error', { patterns: [{ regex: '.', message: 'lib/errors.ts imports nothing' }] }] },
  },
  {
    files: ['lib/index.ts'],
    rules: {
      'no-restricted-imports': ['error', { patterns: [roomsExcept(new Set(Object.keys(ROOMS)), 'lib never imports the command line')] }],
    },
  },
] as const;

export default defineConfig({
  plugins: ['typescript', 'import', 'unicorn', 'node', 'promise', 'oxc'],
  categories: { correctness: 'error', suspicious: 'error', perf: 'error' },
  ignorePatterns: ['dist', 'fixtures', 'node_modules'],
  rules: {
    'import/no-cycle': 'error',
    // Order matters here more often than speed.
    'no-await-in-loop': 'off',
    // The metadata's own member is called `_type`.
    'no-underscore-dangle': 'off',
    'import/no-named-as-default-member': 'off',
    'oxc/no-map-spread': 'off',
    'unicorn/consistent-function-scoping': 'off',
    'typescript/no-misused-spread': 'off',
    // The type checker knows when a switch is exhaustive; this rule does not.
    'typescript/consistent-return': 'off',
    'no-console': 'error',
    'no-var': 'error',
    'prefer-const': 'error',
    'typescript/consistent-type-imports': 'error',
    'typescript/no-explicit-any': 'error',
    'typescript/no-floating-promises': 'error',
    'typescript/no-misused-promises': 'error',
    'typescript/no-non-null-assertion': 'error',
    // A cast carries its proof in a comment.
    'typescript/no-unsafe-type-assertion': 'off',
    'typescript/return-await': ['error', 'in-try-catch'],
    'typescript/switch-exhaustiveness-check': 'error',
    'unicorn/no-process-exit': 'error',
  },
  overrides: [
    ...entries,
    ...layers,
    { files: ['cli/**/*.ts'], rules: { 'no-console': 'off', 'unicorn/no-process-exit': 'off' } },
    {
      files: ['test/**/*.ts'],
      rules: {
        'no-console': 'off',
        // Tests are read more often than they are run.
        'unicorn/no-array-reverse': 'off',
        'unicorn/prefer-array-find': 'off',
        'unicorn/prefer-set-has': 'off',
        'typescript/no-base-to-string': 'off',
        'typescript/no-unnecessary-type-conversion': 'off',
        'typescript/no-floating-promises': [
          'error',
          { allowForKnownSafeCalls: [{ from: 'package', name: ['test', 'it', 'describe', 'suite'], package: 'node:test' }] },
        ],
      },
    },
  ],
});
