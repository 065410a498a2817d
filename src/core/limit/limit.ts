/** A limit made ready for the request path. Cost units and periods as in the policy. */
export type CompiledLimit = {
  readonly name: string;
  readonly requests: number;
  readonly periodMs: number;
  readonly burst: number;
  readonly enforce: boolean;
};
