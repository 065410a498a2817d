/** A limit made ready for the request path. Cost units and periods as in the policy. */
export type CompiledLimit = {
  readonly name: string;
  readonly requests: number;
  readonly periodMs: number;
  readonly burst: number;
  readonly enforce: boolean;
  /** Share of the burst that all replicas together may admit before a shared store has answered. */
  readonly overshoot: number;
  /** What a request meets while the shared store is away. */
  readonly onStoreFailure: "local" | "admit" | "reject";
};
