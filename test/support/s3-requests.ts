/** The requests that this process sends to an S3 server, counted as they leave. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ClientRequest } from 'node:http';

const CHANNEL = 'http.client.request.start';

export interface RequestCount {
  /** `PUT part`, `GET`, `HEAD`, `POST uploads`: the method, and the sub-resource that the query names. */
  readonly byKind: Readonly<Record<string, number>>;
  readonly total: number;
}

/** Counts what is sent to this endpoint while `work` runs. */
export async function countRequests(endpoint: string, work: () => Promise<void>): Promise<RequestCount> {
  const { host } = new URL(endpoint);
  const byKind: Record<string, number> = {};
  const listener = (message: unknown): void => {
    const { request } = message as { readonly request: ClientRequest };
    if (request.getHeader('host') !== host) return;
    const query = new URLSearchParams(request.path.split('?')[1] ?? '');
    const about = query.has('partNumber')
      ? ' part'
      : query.has('uploads')
        ? ' uploads'
        : query.has('uploadId')
          ? ' upload'
          : query.has('list-type')
            ? ' list'
            : '';
    const kind = `${request.method}${about}`;
    byKind[kind] = (byKind[kind] ?? 0) + 1;
  };
  subscribe(CHANNEL, listener);
  try {
    await work();
  } finally {
    unsubscribe(CHANNEL, listener);
  }
  return { byKind, total: Object.values(byKind).reduce((sum, count) => sum + count, 0) };
}
