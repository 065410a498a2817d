import { why, type Tree } from "../rendered-document.js";
import type { EnvoyOptions } from "./options.js";
import { typed, type HttpFilter } from "./protobuf.js";

type FailureOptions = Pick<EnvoyOptions, "failureMode" | "fallback">;

const PROGRAM = "fallback";

/**
 * Stands in for extproc when it did not answer, so it comes after it; none: nothing does.
 *
 * @param routes  all of the listener, or those alone that have `fallbackOn`
 */
export function fallbackFilters(
  options: FailureOptions,
  routes: "all" | "chosen" = "all",
): readonly HttpFilter[] {
  const fallback = programOf(options);
  if (fallback === undefined) return [];
  const program = {
    inline_string: why(
      "Only when extproc did not answer: callers keep their arms; no overrides, limits and shadows.",
      fallback,
    ),
  };
  return [
    {
      name: "envoy.filters.http.lua",
      typed_config: typed(
        "envoy.extensions.filters.http.lua.v3.Lua",
        routes === "all"
          ? { default_source_code: program }
          : { source_codes: { [PROGRAM]: program } },
      ),
    },
  ];
}

/** What happens to requests while extproc is away, for the head of a rendered file. */
export function whileAway(options: FailureOptions): string {
  if (options.failureMode === "closed") return "requests get 503";
  return programOf(options) === undefined
    ? "the default versions serve"
    : "Envoy keeps callers in their arms";
}

/** Of a route: switches the filter on. A FilterConfig without a type would, but istiod refuses it. */
export function fallbackOn(options: FailureOptions): Tree | undefined {
  if (programOf(options) === undefined) return undefined;
  return typed("envoy.extensions.filters.http.lua.v3.LuaPerRoute", { name: PROGRAM });
}

/** Who fails closed decides nothing without extproc. */
function programOf({ failureMode, fallback }: FailureOptions): string | undefined {
  return failureMode === "open" ? fallback : undefined;
}
