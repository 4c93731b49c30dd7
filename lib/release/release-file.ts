/**
 * `Release.toml`, Bottlerocket's list of every migration there is.
 *
 * ```toml
 * version = "1.26.0"
 *
 * [migrations]
 * "(1.25.0, 1.26.0)" = ["migrate_v1.26.0_add-setting.lz4"]
 * ```
 *
 * The keys follow the manifest's rules, and the same pair twice is an error.
 */
import { GantryError, quote } from '../errors.ts';
import { migrationKey, type Manifest } from './manifest.ts';
import { parseVersion } from './names.ts';
import { parseToml, placeText, type TomlPath } from './toml.ts';

export interface ReleaseFile {
  /** The release that the file was written for. */
  readonly version?: string;
  readonly migrations: Manifest['migrations'];
}

/** @throws GantryError `release/bad-toml`, `release/bad-release-file` with the line and column */
export function parseReleaseFile(text: string, path: string): ReleaseFile {
  const document = parseToml(text, path);
  const refuse = (member: TomlPath, problem: string, cause?: unknown): GantryError => {
    const at = placeText(document.placeOf(member));
    return new GantryError('release/bad-release-file', `Cannot use ${quote(path)}: ${at}: ${problem}`, { path, at }, { cause });
  };
  const { version, migrations: table } = document.table;
  if (typeof table !== 'object' || table === null || Array.isArray(table) || table instanceof Date) {
    throw refuse(['migrations'], 'it has no [migrations]; expected a table of pairs of versions');
  }
  const migrations: Record<string, readonly string[]> = {};
  for (const [name, value] of Object.entries(table)) {
    const key = migrationKey(name);
    if (key === undefined) throw refuse(['migrations', name], `${quote(name)} is no pair of versions; expected "(FROM, TO)", both SemVer`);
    if (Object.hasOwn(migrations, key)) throw refuse(['migrations', name], `the pair ${key} is there a second time; expected it once`);
    if (!isTexts(value))
      throw refuse(['migrations', name], 'it is no list of names; expected target names such as ["migrate_v1.2.0_x.lz4"]');
    migrations[key] = value;
  }
  if (version === undefined) return { migrations };
  try {
    return { version: parseVersion(typeof version === 'string' ? version.replace(/^v/u, '') : ''), migrations };
  } catch (cause) {
    throw refuse(['version'], 'version is not SemVer; expected for example "1.2.0"', cause);
  }
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
