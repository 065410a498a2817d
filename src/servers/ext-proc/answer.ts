import type { ProcessingResponse } from "../../gen/envoy/service/ext_proc/v3/ProcessingResponse.js";
import type { Texts } from "./struct.js";

/** The answer to request headers that lets the request go on: nearly every answer that we give. */
export type HeadersAnswer = {
  /** Removed first; exact names only. */
  readonly remove: readonly string[];
  /** Name and value, printable ASCII; overwrites. */
  readonly set: readonly (readonly [name: string, value: string])[];
  /** In our namespace; absent: none. */
  readonly metadata: Texts | undefined;
};

export type Answer = HeadersAnswer | ProcessingResponse;
