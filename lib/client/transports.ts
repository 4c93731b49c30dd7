/**
 * Who is asked for published bytes: a server, a folder of this machine, or a bundle. Each answers in the words of HTTP, so that
 * everything above is the same for all of them.
 */
import { createHttpClient, type HttpClient, type HttpOptions } from '../http/request.ts';
import { openBundle } from './bundle.ts';
import { placeUrl, TARGETS_FROM_METADATA } from './folder-url.ts';
import { locateInFolders, type Links } from './folder.ts';
import { localTransport } from './local-transport.ts';
import type { Mirror } from './mirrors.ts';

/** Another place of the same repository. */
export interface MirrorUrls {
  /** The folder of `timestamp.json`. */
  readonly metadataUrl: URL | string;
  /** `../../targets/` from the metadata by default. */
  readonly targetsUrl?: URL | string;
}

/** A repository that is served, or lies in folders. */
export interface PlaceOptions extends HttpOptions, MirrorUrls {
  readonly mirrors?: readonly MirrorUrls[];
  readonly transport?: HttpClient;
}

/** Where published bytes come from. */
export interface Source {
  readonly places: readonly [Mirror, ...Mirror[]];
  readonly http: HttpClient;
}

/** @throws GantryError `http/bad-url`, `http/bad-setting`, `client/bad-bundle`, `files/…` */
export async function sourceOf(options: PlaceOptions | { readonly bundle: string }): Promise<Source> {
  if ('bundle' in options) {
    const { place, locate } = await openBundle(options.bundle);
    return { places: [place], http: localTransport(locate) };
  }
  const places = [placeOf(options), ...(options.mirrors ?? []).map(placeOf)] as const;
  return { places, http: options.transport ?? transportFor(places, options) };
}

export function placeOf({ metadataUrl: given, targetsUrl }: MirrorUrls): Mirror {
  const metadataUrl = placeUrl(given);
  return { metadataUrl, targetsUrl: targetsUrl === undefined ? new URL(TARGETS_FROM_METADATA, metadataUrl) : placeUrl(targetsUrl) };
}

/** What answers for these places. @throws GantryError `http/bad-setting` */
export function transportFor(places: readonly Mirror[], options: HttpOptions, links: Links = 'inside'): HttpClient {
  const urls = places.flatMap(({ metadataUrl, targetsUrl }) => [metadataUrl, targetsUrl]);
  const folders = urls.filter(isLocal);
  if (folders.length === 0) return createHttpClient(options);
  const local = localTransport(locateInFolders(folders, links));
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
