/** Endless data and slow retrieval: bodies, declared lengths and headers without end, and bytes that hardly come, in every file. */
import type { ServerResponse } from 'node:http';
import { attacks, type Attack, type AttackScene, type Kept } from '../support/attack.ts';
import { endless, stallAfter, type Lie } from '../support/hostile-server.ts';

interface File {
  readonly file: string;
  readonly kept: Kept;
  /** The cap without a signed length. */
  readonly cap: number;
}

const FILES: readonly File[] = [
  { file: '2.root.json', kept: [1, 2, 2, 2, 2], cap: 512_000 },
  { file: 'timestamp.json', kept: [1, 2, 2, 2, 2], cap: 16_384 },
  { file: '3.snapshot.json', kept: [1, 3, 2, 2, 2], cap: 1 << 20 },
  { file: '3.targets.json', kept: [1, 3, 3, 2, 2], cap: 5_000_000 },
  { file: '3.team.json', kept: [1, 3, 3, 3, 2], cap: 5_000_000 },
];

function lying(file: string, lie: Lie): (scene: AttackScene) => Promise<void> {
  return async ({ world, host }) => {
    await world.publish({}, file === '2.root.json' ? ['root'] : undefined);
    host.server.lies.set(file, lie);
  };
}

const header = (response: ServerResponse, status = 200): void => {
  // Written past Node's own checks: a server of any kind may do it.
  response.socket?.write(`HTTP/1.1 ${status} OK\r\n`);
};

/** Sends the whole file, and then blanks up to one byte more than the cap. */
function oneTooMany(cap: number): Lie {
  return (response, file = Buffer.alloc(0)) => {
    response.writeHead(200);
    response.end(Buffer.concat([file, Buffer.alloc(cap + 1 - file.length, ' ')]));
  };
}

const LIES: Readonly<
  Record<string, { readonly lie: (file: File) => Lie; readonly code: Attack['code']; readonly isWithoutLength?: true }>
> = {
  'a body without end': { lie: () => endless(), code: 'http/too-long' },
  'a body without end, and no length is signed': { lie: () => endless(), code: 'http/too-long', isWithoutLength: true },
  'one byte more than any client takes': { lie: ({ cap }) => oneTooMany(cap), code: 'http/too-long', isWithoutLength: true },
  'a declared length of a terabyte': {
    lie: () => (response) => response.writeHead(200, { 'Content-Length': 2 ** 40 }).flushHeaders(),
    code: 'http/too-long',
  },
  'a header without end': {
    lie: () => (response) => {
      header(response);
      const pump = (): void => {
        while (response.socket?.destroyed === false && response.socket.write(`X-${'a'.repeat(1000)}: b\r\n`));
      };
      response.socket?.on('drain', pump).on('error', () => undefined);
      pump();
    },
    code: 'http/too-long',
  },
  'nothing after ten bytes': { lie: () => stallAfter(10), code: 'http/stalled' },
  'no answer at all': { lie: () => () => undefined, code: 'http/stalled' },
  'a byte now and then': {
    lie:
      () =>
      (response, file = Buffer.alloc(0)) => {
        response.writeHead(200, { 'Content-Length': file.length });
        const drip = setInterval(() => response.write(' '), 20);
        response.on('close', () => clearInterval(drip));
      },
    code: 'http/stalled',
  },
};

for (const [what, { lie, code, isWithoutLength }] of Object.entries(LIES)) {
  attacks(
    what,
    Object.fromEntries(
      FILES.map((file): [string, Attack] => [
        `in ${file.file}`,
        {
          before: ({ world }) => {
            if (isWithoutLength === true) world.metaStyle = 'version';
          },
          attack: lying(file.file, lie(file)),
          code,
          kept: file.kept,
        },
      ]),
    ),
  );
}
