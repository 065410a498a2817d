import type { Policy } from "../../schema/policy.js";
import type { Source } from "../../schema/unit.js";
import { HEADER } from "../../schema/headers.js";
import type { CompiledExpression } from "../cel/expression.js";
import { BUILT_IN_DEVICE_HEADERS } from "../cel/request-context.js";
import type { CompiledPolicy } from "./compiled-policy.js";

/**
 * Every header and cookie that can change a decision. Envoy forwards these and no others, and the
 * assignment log keeps these and no others.
 */
export function inputsRead(
  policy: Policy,
  expressions: readonly CompiledExpression[],
): Pick<CompiledPolicy, "headersRead" | "cookiesRead" | "queryRead"> {
  const headers = new Set(expressions.flatMap(({ headers }) => headers));
  const cookies = new Set<string>();
  for (const source of sourcesOf(policy)) {
    if ("cookie" in source) cookies.add(source.cookie);
    else headers.add(source.header);
  }
  if (cookies.size > 0) headers.add("cookie");
  if (expressions.some(({ readsDevice }) => readsDevice)) {
    for (const name of BUILT_IN_DEVICE_HEADERS) headers.add(name);
  }
  for (const limit of policy.limits) {
    if (limit.cost.header !== undefined) headers.add(limit.cost.header);
    for (const part of limit.key) {
      if (typeof part === "object" && "header" in part) headers.add(part.header);
    }
  }
  if (policy.overrides !== undefined) {
    headers.add(policy.overrides.header).add(HEADER.overrideToken);
  }
  return {
    headersRead: [...headers].sort(),
    cookiesRead: [...cookies].sort(),
    queryRead: expressions.some(({ text }) => text.includes("path")),
  };
}

function sourcesOf(policy: Policy): readonly Source[] {
  const { device, geo, features } = policy.context;
  return [policy.units, device, geo, features]
    .flatMap((group) => Object.values<{ readonly from: readonly Source[] }>(group))
    .flatMap(({ from }) => from);
}
