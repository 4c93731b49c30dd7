/** The door to the client: what lies behind it is loaded when the first repository is opened, not when a program starts. */
import type { BundleOptions, OpenOptions, RepositoryClient } from './repository-client.ts';

/**
 * Opens a repository; nothing is fetched yet.
 *
 * ```ts
 * const client = await openRepository({ root: '1.root.json', metadataUrl, stateDirectory });
 * await client.refresh();
 * const [update] = await client.availableUpdates({ variant: 'metal', arch: 'x86_64', version: '1.1.0', seed: 1234 });
 * ```
 *
 * @throws GantryError `client/bad-root`, `client/bad-bundle`, `http/bad-url`, `files/…`
 */
export async function openRepository(options: OpenOptions | BundleOptions): Promise<RepositoryClient> {
  const { openClient } = await import('./repository-client.ts');
  return openClient(options);
}
