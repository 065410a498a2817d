import { why, type Tree } from "../rendered-document.js";
import type { EnvoyOptions } from "./options.js";
import { typed, type HttpFilter } from "./protobuf.js";

type FailureOptions = Pick<EnvoyOptions, "failureMode" | "fallback">;

/** Stands in for extproc when it did not answer, so it comes after it; none: nothing does. */
export function fallbackFilters({ failureMode, fallback }: FailureOptions): readonly HttpFilter[] {
  if (failureMode === "closed" || fallback === undefined) return [];
  const program = why(
    "Only when extproc did not answer: callers keep their arms; no overrides, limits and shadows.",
    fallback,
  );
  return [
    {
      name: "envoy.filters.http.lua",
      typed_config: typed("envoy.extensions.filters.http.lua.v3.Lua", {
        default_source_code: { inline_string: program },
      }),
    },
  ];
}

/** What happens to requests while extproc is away, for the head of a rendered file. */
export function whileAway({ failureMode, fallback }: FailureOptions): string {
  if (failureMode === "closed") return "requests get 503";
  return fallback === undefined
    ? "the default versions serve"
    : "Envoy keeps callers in their arms";
}

/** Per-route: switches on a filter that the listener has switched off. */
export function fallbackOn(): Tree {
  return typed("envoy.config.route.v3.FilterConfig", { config: {} });
}
