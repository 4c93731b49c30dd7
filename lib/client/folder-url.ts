/** The two folders of a repository, as URLs. */
import { GantryError, quote } from '../errors.ts';

/** Where the published layout has targets, seen from VARIANT/ARCH/. */
export const TARGETS_FROM_METADATA = '../../targets/';

/** Without query and fragment, with a slash at the end. @throws GantryError `http/bad-url` */
export function folderUrl(text: URL | string): URL {
  const url = URL.canParse(String(text)) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    // What is no URL may still hold a password in front of an `@`.
    const shown = String(text)
      .replace(/[^/]*@/gu, '')
      .slice(0, 300);
    throw new GantryError(
      'http/bad-url',
      `Cannot use ${quote(shown)} as a repository: expected a URL that starts with http:// or https://`,
      { url: shown },
    );
  }
  url.search = '';
  url.hash = '';
  if (!url.pathname.endsWith('/')) url.pathname += '/';
  return url;
}
