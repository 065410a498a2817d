/**
 * A value of a parsed document together with where it stands, so that whoever looks at the value can
 * point at it. A key that is not there gives a node without a value, which stands where it would be.
 */
export type Node = {
  /** Index of the document in the input. */
  readonly document: number;
  readonly path: readonly (string | number)[];
  readonly value: unknown;
};

/**
 * Follows keys. Protobuf's JSON allows `snake_case` and `camelCase` alike, so a key in the first
 * form also finds the second.
 */
export function child(node: Node, ...keys: readonly (string | number)[]): Node {
  return keys.reduce<Node>(({ document, path, value }, key) => {
    const there = spelt(value, key);
    const holder = isRecord(value) || Array.isArray(value) ? value : {};
    const next: unknown = Object.hasOwn(holder, there) ? Reflect.get(holder, there) : undefined;
    return { document, path: [...path, there], value: next };
  }, node);
}

function spelt(value: unknown, key: string | number): string | number {
  if (typeof key === "number" || !isRecord(value) || Object.hasOwn(value, key)) return key;
  const camel = key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  return Object.hasOwn(value, camel) ? camel : key;
}

export function isThere({ value }: Node): boolean {
  return value !== undefined && value !== null;
}

/** The items of a list; none of anything else. */
export function items(node: Node): readonly Node[] {
  return Array.isArray(node.value) ? node.value.map((_, index) => child(node, index)) : [];
}

/** The entries of a map; none of anything else. */
export function entries(node: Node): readonly (readonly [string, Node])[] {
  const { document, path, value } = node;
  if (!isRecord(value)) return [];
  return Object.entries(value).map(([key, inner]) => [
    key,
    { document, path: [...path, key], value: inner },
  ]);
}

/** Texts of a list, or of a map's values. */
export function texts(node: Node): readonly string[] {
  const inner = Array.isArray(node.value) ? items(node) : entries(node).map(([, value]) => value);
  return inner.flatMap((one) => text(one) ?? []);
}

/** Labels, environment variables and the like: unquoted numbers and booleans are texts there. */
export function text({ value }: Node): string | undefined {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" ? String(value) : undefined;
}

/** Protobuf's JSON writes 64-bit integers as texts. */
export function number({ value }: Node): number | undefined {
  if (typeof value === "number") return value;
  return typeof value === "string" && /^-?\d+(\.\d+)?$/.test(value) ? Number(value) : undefined;
}

export function isTrue({ value }: Node): boolean {
  return value === true || value === "true";
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** A duration of protobuf or Istio in milliseconds; undefined for anything else. */
export function milliseconds(node: Node): number | undefined {
  const [, amount = "", unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text(node) ?? "") ?? [];
  const unitMs = UNIT_MS[unit];
  return unitMs === undefined ? undefined : Number(amount) * unitMs;
}

/** The node and all that it holds, outermost first. */
export function* everyNode(node: Node): Generator<Node> {
  yield node;
  for (const inner of [...items(node), ...entries(node).map(([, value]) => value)]) {
    yield* everyNode(inner);
  }
}

/** Messages of a type inside the node, by the last part of the name in their `@type`. */
export function messages(node: Node, type: string): readonly Node[] {
  return [...everyNode(node)].filter((inner) => isMessage(inner, type));
}

export function isMessage(node: Node, type: string): boolean {
  return text(child(node, "@type"))?.split(/[./]/).at(-1) === type;
}

export function mentions({ value }: Node, word: string): boolean {
  return value !== undefined && JSON.stringify(value).includes(word);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
