/**
 * Who is asked for published bytes: a server, a folder of this machine, or a bundle. Each answers in the words of HTTP, so that
 * everything above is the same for all of them.
 */
import { createHttpClient, type HttpClient, type HttpOptions } from '../http/request.ts';
import { locateInFolders } from './folder.ts';
import { localTransport } from './local-transport.ts';
import type { Mirror } from './mirrors.ts';

/** What answers for these places. @throws GantryError `http/bad-setting` */
export function transportFor(places: readonly Mirror[], options: HttpOptions): HttpClient {
  const urls = places.flatMap(({ metadataUrl, targetsUrl }) => [metadataUrl, targetsUrl]);
  const folders = urls.filter(isLocal);
  if (folders.length === 0) return createHttpClient(options);
  const local = localTransport(locateInFolders(folders));
  return folders.length === urls.length ? local : either(local, createHttpClient(options));
}

function either(local: HttpClient, http: HttpClient): HttpClient {
  const of = (url: URL): HttpClient => (isLocal(url) ? local : http);
  return {
    get traffic() {
      const { requests, bytesReceived } = http.traffic;
      return { requests: requests + local.traffic.requests, bytesReceived: bytesReceived + local.traffic.bytesReceived };
    },
    fetchBytes: async (url, options) => of(url).fetchBytes(url, options),
    fetchStream: (url, options) => of(url).fetchStream(url, options),
    fetchRange: async (url, options) => of(url).fetchRange(url, options),
    close() {
      local.close();
      http.close();
    },
  };
}

function isLocal({ protocol }: URL): boolean {
  return protocol === 'file:';
}
