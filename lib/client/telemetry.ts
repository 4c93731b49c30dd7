/**
 * What a host tells about itself in the query of its requests, as stock hosts do, for publishers who read it from access logs.
 *
 * Rules:
 * - nothing is told unless the caller asks for it;
 * - targets are asked for without it by default: a cache that has the query in its key would keep a copy for every host;
 * - it never appears in an error.
 */
export interface TelemetryOptions {
  /** By name, for example `version`, `seed`, `target`, `migrations`. */
  readonly parameters: Readonly<Record<string, string | number>>;
  /** `metadata` by default. */
  readonly on?: 'metadata' | 'metadata-and-targets';
}

export type WithTelemetry = (url: URL, kind: 'metadata' | 'target') => URL;

/** The query that a request is sent with: sorted by name, as stock hosts sort theirs. */
export function telemetryOf(options: TelemetryOptions | undefined): WithTelemetry {
  if (options === undefined) return (url) => url;
  const { parameters, on = 'metadata' } = options;
  const query = new URLSearchParams(Object.entries(parameters).map(([name, value]) => [name, String(value)]));
  query.sort();
  return (url, kind) => {
    if (kind === 'target' && on === 'metadata') return url;
    const asked = new URL(url);
    asked.search = String(query);
    return asked;
  };
}
