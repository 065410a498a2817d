import { valuesOf } from "../experiment/unit-id.js";
import type { UnitReading } from "../experiment/unit-id.js";
import type { CompiledAttribute } from "../policy/compiled-policy.js";
import type { HeaderView, RequestFacts } from "../routing/facts.js";
import type { CelContext } from "./expression.js";

type Value = string | number | boolean;

/** Client hints (User-Agent Client Hints) first, the user agent text when there are none. */
const MOBILE_HINT = "sec-ch-ua-mobile";
const PLATFORM_HINT = "sec-ch-ua-platform";
const USER_AGENT = "user-agent";
export const BUILT_IN_DEVICE_HEADERS = [MOBILE_HINT, PLATFORM_HINT, USER_AGENT] as const;

const PLATFORMS: readonly (readonly [RegExp, string])[] = [
  [/Android/, "Android"],
  [/iPhone|iPad|iPod/, "iOS"],
  [/Windows/, "Windows"],
  [/Mac OS X/, "macOS"],
  [/Linux/, "Linux"],
];

/** What expressions see of one request. Repeated headers are joined with ", " (RFC 9110 5.3). */
export function celContextOf(
  facts: RequestFacts,
  headersRead: readonly string[],
  attributes: readonly CompiledAttribute[],
  units: Iterable<readonly [string, UnitReading]>,
): CelContext {
  const headers = new Map<string, string>();
  for (const name of headersRead) {
    const values = facts.headers.values(name);
    if (values.length > 0) headers.set(name, values.join(", "));
  }
  const unit = new Map<string, string>();
  for (const [name, reading] of units) if (reading.kind === "unit") unit.set(name, reading.id);
  const families = {
    device: builtInDevice(facts.headers),
    geo: new Map<string, Value>(),
    features: new Map<string, Value>(),
  };
  for (const attribute of attributes) {
    const value = attributeOf(attribute, facts.headers);
    // An attribute that is declared replaces the built-in one, also where it is absent.
    if (value === undefined) families[attribute.family].delete(attribute.name);
    else families[attribute.family].set(attribute.name, value);
  }
  const { method, path, host } = facts;
  return { request: { method, path, host, headers }, unit, ...families };
}

function attributeOf(attribute: CompiledAttribute, headers: HeaderView): Value | undefined {
  for (const source of attribute.from) {
    const [text] = valuesOf(source, headers);
    if (text !== undefined) return read(text, attribute.type);
  }
  return undefined;
}

/** Text that cannot be read as its type is an absent value, never a guess. */
function read(text: string, type: CompiledAttribute["type"]): Value | undefined {
  switch (type) {
    case "string":
      return text;
    case "number": {
      const number = text.trim() === "" ? Number.NaN : Number(text);
      return Number.isFinite(number) ? number : undefined;
    }
    case "bool":
      return text === "true" || text === "1"
        ? true
        : text === "false" || text === "0"
          ? false
          : undefined;
  }
}

function builtInDevice(headers: HeaderView): Map<string, Value> {
  const device = new Map<string, Value>();
  const [mobile] = headers.values(MOBILE_HINT);
  const [platform] = headers.values(PLATFORM_HINT);
  const [agent] = headers.values(USER_AGENT);
  if (mobile === "?1" || mobile === "?0") device.set("mobile", mobile === "?1");
  else if (agent !== undefined) device.set("mobile", agent.includes("Mobi"));
  if (platform !== undefined) device.set("platform", platform.replaceAll('"', ""));
  else if (agent !== undefined) {
    const known = PLATFORMS.find(([pattern]) => pattern.test(agent));
    if (known !== undefined) device.set("platform", known[1]);
  }
  return device;
}
