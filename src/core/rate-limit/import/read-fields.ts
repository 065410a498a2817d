import type { ConfigIssue, ConfigNode } from "./config-node.js";

/** The fields of a map as that project reads them; what does not fit is noted, and counts as absent. */
export type Fields = {
  readonly offset: number;
  text(name: string): string;
  flag(name: string): boolean;
  /** Whole, of 32 bits, without a sign. */
  count(name: string): number;
  list(name: string): readonly Fields[];
  /** Undefined: absent or null. */
  map(name: string): Fields | undefined;
  plain(name: string): Readonly<Record<string, unknown>> | undefined;
  /** Where a field stands; where the map begins, if it is absent. */
  offsetOf(name: string): number;
};

export function fieldsOf(node: ConfigNode, issues: ConfigIssue[]): Fields {
  const byName = new Map<string, { readonly at: number; readonly value: ConfigNode }>();
  if (node.kind === "map") {
    for (const { key, value } of node.entries) {
      if ("text" in key) byName.set(key.text, { at: key.offset, value });
    }
  }
  /** `read` of what is given; `absent` for nothing, and for what `read` has no use for. */
  const field = <T>(
    name: string,
    wanted: string,
    absent: T,
    read: (value: ConfigNode) => T | undefined,
  ): T => {
    const value = byName.get(name)?.value;
    if (value === undefined || value.kind === "null") return absent;
    const found = read(value);
    if (found !== undefined) return found;
    issues.push({ offset: value.offset, message: `${name} must be ${wanted}` });
    return absent;
  };
  const map = <T>(name: string, read: (value: ConfigNode) => T) =>
    field<T | undefined>(name, "a map", undefined, (value) =>
      value.kind === "map" ? read(value) : undefined,
    );
  return {
    offset: node.offset,
    offsetOf: (name) => byName.get(name)?.at ?? node.offset,
    text: (name) =>
      field(name, "a word or text", "", (value) => ("text" in value ? value.text : undefined)),
    flag: (name) =>
      field(name, "true or false", false, (value) =>
        value.kind === "bool" ? value.value === true : undefined,
      ),
    count: (name) => field(name, "a whole number from 0 to 4294967295", 0, uint32Of),
    list: (name) =>
      field<readonly Fields[]>(name, "a list", [], (value) =>
        value.kind === "list" ? value.items.map((item) => fieldsOf(item, issues)) : undefined,
      ),
    map: (name) => {
      const value = byName.get(name)?.value;
      // yaml.v2 leaves a pointer alone for ~ and null, and for Null and NULL makes an empty struct.
      const isEmpty = value?.kind === "null" && /^n/i.test(value.text) && value.text !== "null";
      return isEmpty ? fieldsOf(value, issues) : map(name, (found) => fieldsOf(found, issues));
    },
    plain: (name) => map(name, (value) => plainOf(value) as Readonly<Record<string, unknown>>),
  };
}

function uint32Of({ kind, ...node }: ConfigNode): number | undefined {
  const number = kind === "int" && "value" in node ? Number(node.value) : -1;
  return number >= 0 && number < 2 ** 32 ? number : undefined;
}

function plainOf(node: ConfigNode): unknown {
  if (node.kind === "list") return node.items.map(plainOf);
  if (node.kind !== "map") return node.value;
  return Object.fromEntries(
    node.entries.map(({ key, value }) => ["text" in key ? key.text : "", plainOf(value)]),
  );
}
