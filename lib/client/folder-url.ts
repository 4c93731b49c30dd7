/** The two folders of a repository, as URLs. */
import { fileURLToPath, pathToFileURL } from 'node:url';
import { GantryError, quote } from '../errors.ts';

/** Where the published layout has targets, seen from VARIANT/ARCH/. */
export const TARGETS_FROM_METADATA = '../../targets/';

/** A path says so itself: what only looks like a host's name is more often a URL without its scheme. */
const PATH = /^(?:\/(?!\/)|\.\.?(?:\/|$))/u;

/**
 * Where a repository is: a web server, or a folder of this machine, as a `file:` URL or as a path that starts with `/`, `./` or `../`.
 *
 * @throws GantryError `http/bad-url`
 */
export function placeUrl(text: URL | string): URL {
  if (typeof text === 'string' && PATH.test(text)) return withSlash(pathToFileURL(text));
  const url = URL.canParse(String(text)) ? new URL(text) : undefined;
  if (url?.protocol !== 'file:') return folderUrl(text);
  try {
    return withSlash(pathToFileURL(fileURLToPath(url)));
  } catch (cause) {
    const shown = shownOf(text);
    throw new GantryError(
      'http/bad-url',
      `Cannot use ${quote(shown)} as a repository: it names no folder of this machine; expected file:///PATH`,
      { url: shown },
      { cause },
    );
  }
}

/** Without query and fragment, with a slash at the end. @throws GantryError `http/bad-url` */
export function folderUrl(text: URL | string): URL {
  const url = URL.canParse(String(text)) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    const shown = shownOf(text);
    throw new GantryError(
      'http/bad-url',
      `Cannot use ${quote(shown)} as a repository: expected a URL that starts with http:// or https://`,
      { url: shown },
    );
  }
  url.search = '';
  url.hash = '';
  return withSlash(url);
}

function withSlash(url: URL): URL {
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}

/** What is no URL may still hold a password in front of an `@`. */
function shownOf(text: URL | string): string {
  return String(text)
    .replace(/[^/]*@/gu, '')
    .slice(0, 300);
}
