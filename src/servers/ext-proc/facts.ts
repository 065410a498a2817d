import type { HeaderValue__Output } from "../../gen/envoy/config/core/v3/HeaderValue.js";
import type { ProcessingRequest__Output } from "../../gen/envoy/service/ext_proc/v3/ProcessingRequest.js";
import type { HeaderView, RequestFacts } from "../../core/routing/facts.js";
import { plainOf } from "./struct.js";

/** Envoy keys attributes by the filter's canonical name, whatever the configuration calls it. */
const FILTER_NAME = "envoy.filters.http.ext_proc";
const PEER_SAN = "connection.uri_san_peer_certificate";

/** The header list of one message, by lower-case name; values are decoded when they are asked for. */
export type WireHeaders = ReadonlyMap<string, readonly HeaderValue__Output[]>;

export function wireHeadersOf(message: ProcessingRequest__Output): WireHeaders {
  const byName = new Map<string, HeaderValue__Output[]>();
  for (const header of message.requestHeaders?.headers?.headers ?? []) {
    const name = (header.key ?? "").toLowerCase();
    const same = byName.get(name);
    if (same === undefined) byName.set(name, [header]);
    else same.push(header);
  }
  return byName;
}

/**
 * Envoy fills raw_value, older senders value. Bytes that are not UTF-8 become U+FFFD, which no unit
 * id, host or key may contain, so core treats such a value as invalid.
 */
function textOf(header: HeaderValue__Output): string {
  const raw = header.rawValue;
  return raw !== undefined && raw.length > 0 ? raw.toString("utf8") : (header.value ?? "");
}

/** Without pseudo-headers: those are method, path and host, and a policy may not name them. */
function viewOf(headers: WireHeaders): HeaderView {
  return {
    values: (name) => (name.startsWith(":") ? [] : (headers.get(name) ?? []).map(textOf)),
    names: () => [...headers.keys()].filter((name) => !name.startsWith(":")),
  };
}

/** The peer as the proxy's mTLS proved it. Only attributes say so: a header can be forged. */
function principalOf(message: ProcessingRequest__Output): string | undefined {
  const attributes = message.attributes?.[FILTER_NAME];
  if (attributes === undefined) return undefined;
  const san = plainOf(attributes)[PEER_SAN];
  return typeof san === "string" && san !== "" ? san : undefined;
}

export function factsOf(
  message: ProcessingRequest__Output,
  headers: WireHeaders,
  unhealthy: ReadonlySet<string>,
): RequestFacts {
  const pseudo = (name: string): string => {
    const header = headers.get(name)?.[0];
    return header === undefined ? "" : textOf(header);
  };
  return {
    method: pseudo(":method"),
    path: pseudo(":path"),
    host: pseudo(":authority"),
    headers: viewOf(headers),
    principal: principalOf(message),
    unhealthy,
  };
}
