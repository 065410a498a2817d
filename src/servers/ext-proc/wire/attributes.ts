import type { ProcessingRequest__Output } from "../../../gen/envoy/service/ext_proc/v3/ProcessingRequest.js";
import { plainOf } from "../struct.js";

/** Envoy keys attributes by the filter's canonical name, whatever the configuration calls it. */
export const FILTER_NAME = "envoy.filters.http.ext_proc";
export const PEER_SAN = "connection.uri_san_peer_certificate";

/** The peer as the proxy's mTLS proved it. Only attributes say so: a header can be forged. */
export function principalOf({ attributes }: ProcessingRequest__Output): string | undefined {
  const ours = attributes?.[FILTER_NAME];
  if (ours === undefined) return undefined;
  const san = plainOf(ours)[PEER_SAN];
  return typeof san === "string" && san !== "" ? san : undefined;
}
