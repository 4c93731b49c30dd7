/**
 * Loaded before gantry in a process that is to be killed (`node --import`): counts its steps, and lets one of them go wrong.
 *
 * Rules:
 * - a step lies before or after something that stays: a sync, a rename, a link, a removal, a request that is not a read;
 * - a request has one more, when it was handed to the network and its answer is not there yet;
 * - a read leaves nothing behind: a kill before or after it leaves what the step before it left;
 * - right after one file and right before the next is one step when nothing happened in between;
 * - a kill is SIGKILL, in the very moment of the step: nothing of the process runs after it;
 * - a network that is lost, or a key that is not known any more, stays so until the process ends;
 * - what happens outside the watched folders and the server is none of our steps.
 */
import { subscribe } from 'node:diagnostics_channel';
import fs from 'node:fs';
import type { ClientRequest } from 'node:http';
import { syncBuiltinESMExports } from 'node:module';

export type Mishap = 'killed' | 'network lost' | 'credentials expired';

/** What the harness says in the variable `GANTRY_CRASH`, as JSON. */
export interface CrashOrder {
  /** The number of the step at which it goes wrong, from 1; 0 never. */
  readonly at: number;
  readonly how: Mishap;
  /** Files below these count. */
  readonly folders: readonly string[];
  /** `HOST:PORT` of the server whose requests count. */
  readonly host?: string;
  /** Where the steps are written, a line each. */
  readonly log?: string;
}

type When = 'before' | 'in flight' | 'after';
type AnyFunction = (...args: readonly unknown[]) => Promise<unknown>;

// The harness writes it, and nobody else.
const order = JSON.parse(process.env['GANTRY_CRASH'] ?? '{"at":0,"how":"killed","folders":[]}') as CrashOrder;
const files = new WeakMap<object, string>();
let steps = 0;
/** Whether the last thing that happened was the step after a file. */
let isSettled = false;

function step(when: When, what: string): void {
  steps += 1;
  if (order.log !== undefined) fs.appendFileSync(order.log, `${when} ${what}\n`);
  if (steps === order.at && order.how === 'killed') process.kill(process.pid, 'SIGKILL');
}

/** @returns the path as it is told, or undefined when it does not count */
function watched(path: unknown): string | undefined {
  const text = String(path);
  return order.folders.some((folder) => text.startsWith(folder)) ? text : undefined;
}

function wrap(owner: object, name: string, pathOf: (self: object, args: readonly unknown[]) => unknown): void {
  // Every function that is named below is asynchronous.
  const original = Reflect.get(owner, name) as AnyFunction;
  Reflect.set(owner, name, async function (this: object, ...args: readonly unknown[]) {
    const path = watched(pathOf(this, args));
    if (path === undefined) return Reflect.apply(original, this, args);
    if (!isSettled) step('before', `${name} ${path}`);
    isSettled = false;
    const result = await Reflect.apply(original, this, args);
    step('after', `${name} ${path}`);
    isSettled = true;
    return result;
  });
}

function isWriting(flags: string | number | undefined): boolean {
  if (typeof flags === 'number') return (flags & (fs.constants.O_WRONLY | fs.constants.O_RDWR)) !== 0;
  return flags !== undefined && flags !== 'r';
}

async function wrapFiles(): Promise<void> {
  const nothing = await fs.promises.open('/dev/null');
  const handle = Object.getPrototypeOf(nothing) as object;
  await nothing.close();
  for (const name of ['sync', 'datasync']) wrap(handle, name, (self) => files.get(self));
  // Of two names, the one that appears.
  for (const name of ['rename', 'link']) wrap(fs.promises, name, (_, [, path]) => path);
  for (const name of ['rm', 'unlink']) wrap(fs.promises, name, (_, [path]) => path);
  const open = fs.promises.open.bind(fs.promises);
  fs.promises.open = async (path, flags, mode) => {
    if (isWriting(flags)) isSettled = false;
    const opened = await open(path, flags, mode);
    files.set(opened, String(path));
    return opened;
  };
  // A folder that is made is no step, but something in between.
  const mkdir = Reflect.get(fs.promises, 'mkdir') as AnyFunction;
  Reflect.set(fs.promises, 'mkdir', async (...args: readonly unknown[]) => {
    const made = await mkdir(...args);
    if (made !== undefined) isSettled = false;
    return made;
  });
  syncBuiltinESMExports();
}

/** From its step on. */
function spoil(request: ClientRequest): void {
  if (steps < order.at || order.at === 0) return;
  if (order.how === 'network lost') request.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
  const signed = request.getHeader('authorization');
  if (order.how === 'credentials expired' && signed !== undefined && !request.headersSent) {
    request.setHeader('authorization', String(signed).replace(/Credential=[^/]+/u, 'Credential=nobody'));
  }
}

function wrapRequests(host: string): void {
  const on = (moment: 'created' | 'start', when: When): void => about(`http.client.request.${moment}`, when);
  const about = (channel: string, when: When): void => {
    subscribe(channel, (message) => {
      // These channels of Node tell of a request.
      const { request } = message as { readonly request: ClientRequest };
      const { method, path } = request;
      if (request.getHeader('host') !== host) return;
      if (method === 'GET' || method === 'HEAD') return spoil(request);
      // Several are under way at once: what happens in between is not ours to say.
      isSettled = false;
      step(when, `${method} ${path}`);
      spoil(request);
    });
  };
  on('created', 'before');
  on('start', 'in flight');
  about('http.client.response.finish', 'after');
}

await wrapFiles();
if (order.host !== undefined) wrapRequests(order.host);
