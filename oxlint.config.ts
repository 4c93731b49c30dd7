/**
 * The linter's rules, the layers among them: which room may import which (the table in CONTRIBUTING.md). Permissions are transitive.
 */
import { defineConfig } from 'oxlint';

/** Direct permissions, besides `errors` and Node's own modules. */
export const ROOMS: Readonly<Record<string, readonly string[]>> = {
  files: [],
  http: [],
  tuf: [],
  keys: ['tuf', 'files'],
  release: ['tuf'],
  image: [],
  repository: ['tuf', 'release', 'image'],
  store: ['files'],
  workspace: ['repository', 'release', 'image', 'keys', 'files'],
  client: ['tuf', 'release', 'image', 'files', 'http'],
  publish: ['repository', 'workspace', 'store', 'client'],
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

const IMPURE_MODULES = [
  'node:fs',
  'node:fs/promises',
  'node:net',
  'node:http',
  'node:https',
  'node:dns',
  'node:child_process',
  'node:timers',
  'node:timers/promises',
];

const layers = Object.keys(ROOMS).map((room) => {
  const allowed = reachable(room);
  const forbidden = [...Object.keys(ROOMS).filter((other) => !allowed.has(other)), 'cli'];
  return {
    files: [`lib/${room}/**/*.ts`],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              group: forbidden.flatMap((other) => [`../${other}/*`, `../../${other}/*`, `../../lib/${other}/*`]),
              message: `lib/${room} may not import this room`,
            },
          ],
          ...(PURE_ROOMS.includes(room) ? { paths: IMPURE_MODULES.map((name) => ({ name, message: `lib/${room} is pure` })) } : {}),
        },
      ],
      ...(PURE_ROOMS.includes(room)
        ? {
            'no-restricted-globals': [
              'error',
              { name: 'fetch', message: `lib/${room} is pure` },
              { name: 'process', message: `lib/${room} is pure` },
            ],
          }
        : {}),
    },
  } as const;
});

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
    ...layers,
    { files: ['cli/**/*.ts'], rules: { 'no-console': 'off', 'unicorn/no-process-exit': 'off' } },
    {
      files: ['test/**/*.ts'],
      rules: {
        'no-console': 'off',
        'typescript/no-floating-promises': [
          'error',
          { allowForKnownSafeCalls: [{ from: 'package', name: ['test', 'it', 'describe', 'suite'], package: 'node:test' }] },
        ],
      },
    },
  ],
});
