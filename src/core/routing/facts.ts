/** Read access to request headers; names are lower-case. */
export type HeaderView = {
  /** All values in wire order; empty when the header is absent. */
  values(name: string): readonly string[];
  names(): Iterable<string>;
};

/** Everything about a request that a decision may depend on, besides policy, time and quotas. */
export type RequestFacts = {
  readonly method: string;
  /** With the query, if there is one. */
  readonly path: string;
  /** `:authority`, with the port, if there is one. */
  readonly host: string;
  readonly headers: HeaderView;
  /** SPIFFE id of the caller as mTLS proved it; never taken from a header. */
  readonly principal?: string | undefined;
  /** `<model>/<version>` of every version whose health check fails. */
  readonly unhealthy: ReadonlySet<string>;
  /** An override that was verified before and is now replayed; read instead of header and token. */
  readonly replayedOverride?: ReadonlyMap<string, string> | undefined;
};

/** A view over plain values: request facts of the CLI, of tests and of log lines. */
export function headerViewOf(
  headers: Readonly<Record<string, string | readonly string[]>>,
): HeaderView {
  const byName = new Map<string, string[]>();
  for (const [name, value] of Object.entries(headers)) {
    const key = name.toLowerCase();
    const values = typeof value === "string" ? [value] : value;
    byName.set(key, [...(byName.get(key) ?? []), ...values]);
  }
  return { values: (name) => byName.get(name) ?? [], names: () => byName.keys() };
}
