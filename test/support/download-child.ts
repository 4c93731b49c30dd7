/** A client in a process of its own, to be killed: refreshes, downloads one target, and prints the report. Options as JSON. */
import { openRepository } from '../../lib/client/index.ts';

interface ChildOptions {
  readonly root: string;
  readonly metadataUrl: string;
  readonly stateDirectory: string;
  readonly target: string;
  readonly file: string;
  readonly form: 'published' | 'image';
  readonly write: 'replace' | 'in-place';
}

const { target, file, form, write, ...options }: ChildOptions = JSON.parse(process.argv[2] ?? '');
const client = await openRepository({ ...options, patienceMs: 0 });
await client.refresh();
const report = await client.download(await client.target(target), file, { form, write });
console.log(JSON.stringify({ ...report, notices: client.notices }));
client.close();
