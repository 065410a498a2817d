import { propagation, ROOT_CONTEXT, trace, type Context } from "@opentelemetry/api";
import type { HeaderView } from "../../core/routing/facts.js";

const headerGetter = {
  get: (headers: HeaderView, key: string) => [...headers.values(key)],
  keys: (headers: HeaderView) => [...headers.names()],
};

/**
 * The span that ours belongs under. Envoy's own span travels in the metadata of the side stream; the
 * forwarded request headers hold only what the client sent, so they come second.
 */
export function parentContextOf(metadata: HeaderView, headers: HeaderView): Context {
  const fromProxy = propagation.extract(ROOT_CONTEXT, metadata, headerGetter);
  return trace.getSpanContext(fromProxy) === undefined
    ? propagation.extract(ROOT_CONTEXT, headers, headerGetter)
    : fromProxy;
}
