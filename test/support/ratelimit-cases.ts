/**
 * Files such as an operator of envoyproxy/ratelimit may write: most lines are right, some are odd.
 * The same seed gives the same files for ever: test/vectors holds that project's verdicts on them.
 */
export function ratelimitFiles(count: number, seed: number): readonly string[] {
  const writer = new Writer(randomOf(seed));
  return Array.from({ length: count }, () => writer.file());
}

/** mulberry32: 32 bits of state, enough for cases. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What YAML 1.1, YAML 1.2 and that project's parser do not all read alike, and what no field takes. */
const ODD = [
  ...["5", "-1", "010", "08", "0x1F", "1_000", "+7", "0b11", "0o17", "1.5", "1e3", ".5", ".inf"],
  ...["4294967295", "4294967296", "9223372036854775807", "9223372036854775808", "1:30", "1."],
  ...['"5"', "''", '""', "~", "null", "Null", "", "yes", "on", "off", "N", "y", "true", "False"],
  ...["2001-01-01", "50.0.0.5", "a b", "a*", "*", "!!str 5", "[]", "{}", "[a]", "[{}]"],
  ...["{ key: a }", "{ foo: a }", "[{ key: a }]", '"\\u00e9"', "é", "a#b", "_1", "-", "1__0"],
].map((text) => (text === "*" ? '"*"' : text));

const KEYS = ["user", "path", "tier", "a_b", "a", "b"];
const VALUES = ["gold", "b", "/v2/*", "b*", "10.0.0.1", '"*"', "7", "x_y"];
const UNITS = ["second", "minute", "hour", "day", "week", "month", "year", "SECOND", "Minute"];
const ODD_UNITS = ["foo", "unknown", "seconds", "UNKNOWN", '""', "~", "5", "[day]"];
const UNKNOWN_KEYS = ["ratelimit", "Key", "requestsperunit", "0.25", "5", "yes", "~", "foo"];

class Writer {
  readonly #random: () => number;
  /** Chance that a line is odd. */
  #oddness = 0;

  constructor(random: () => number) {
    this.#random = random;
  }

  file(): string {
    this.#oddness = this.#pick([0, 0.03, 0.1, 0.3, 0.5]);
    const lines = [
      ...this.#sometimes(0.97, () => [`domain: ${this.#odd() ?? this.#pick(["d", "edge"])}`]),
      ...this.#stray(""),
      ...this.#rules("", 0),
    ];
    return `${lines.join("\n")}\n`;
  }

  #rules(indent: string, depth: number): string[] {
    const odd = this.#odd();
    if (odd !== undefined) return [`${indent}descriptors: ${odd}`];
    const count = Math.floor(this.#random() * (4 - depth));
    if (count === 0) return depth > 0 ? [] : [`${indent}descriptors:`];
    const rules = Array.from({ length: count }, () => this.#rule(`${indent}    `, depth));
    return [
      `${indent}descriptors:`,
      ...rules.flatMap(([first = "", ...rest]) => [`${indent}  - ${first.trimStart()}`, ...rest]),
    ];
  }

  #rule(indent: string, depth: number): string[] {
    const value = this.#odd() ?? this.#pick(VALUES);
    const flag = (name: string) =>
      this.#sometimes(0.15, () => [
        `${indent}${name}: ${this.#odd() ?? this.#pick(["true", "false"])}`,
      ]);
    return [
      `${indent}key: ${this.#odd() ?? this.#pick(KEYS)}`,
      ...this.#sometimes(0.6, () => [`${indent}value: ${value}`]),
      ...this.#sometimes(0.6, () => this.#limit(indent)),
      ...["shadow_mode", "quota_mode", "detailed_metric", "value_to_metric"].flatMap(flag),
      ...(value.includes("*") || this.#random() < this.#oddness ? flag("share_threshold") : []),
      ...this.#stray(indent),
      ...(depth < 2 ? this.#sometimes(0.4, () => this.#rules(indent, depth + 1)) : []),
    ];
  }

  #limit(indent: string): string[] {
    const odd = this.#odd();
    if (odd !== undefined) return [`${indent}rate_limit: ${odd}`];
    const inner = `${indent}  `;
    if (this.#random() < 0.15)
      return [`${indent}rate_limit:`, `${inner}unlimited: true`, ...this.#stray(inner)];
    const isOddUnit = this.#random() < this.#oddness;
    return [
      `${indent}rate_limit:`,
      `${inner}unit: ${this.#pick(isOddUnit ? ODD_UNITS : UNITS)}`,
      ...this.#sometimes(0.95, () => [
        `${inner}requests_per_unit: ${this.#odd() ?? this.#pick(["0", "1", "500", "1_000", "010"])}`,
      ]),
      ...this.#sometimes(0.2, () => [`${inner}name: ${this.#odd() ?? this.#pick(["n", "m"])}`]),
      ...this.#sometimes(0.1, () => [
        `${inner}replaces:`,
        `${inner}  - name: ${this.#odd() ?? this.#pick(["n", "other"])}`,
      ]),
      ...this.#stray(inner),
    ];
  }

  /** A key that nobody knows, or a known one in another's place. */
  #stray(indent: string): string[] {
    if (this.#random() >= this.#oddness / 3) return [];
    const key = this.#pick([...UNKNOWN_KEYS, "unit", "value", "name", "unlimited"]);
    return [`${indent}${key}: ${this.#pick([...ODD, "a"])}`];
  }

  #odd(): string | undefined {
    return this.#random() < this.#oddness / 3 ? this.#pick(ODD) : undefined;
  }

  #sometimes(chance: number, lines: () => string[]): string[] {
    return this.#random() < chance ? lines() : [];
  }

  #pick<T>(choices: readonly T[]): T {
    const choice = choices[Math.floor(this.#random() * choices.length)];
    if (choice === undefined) throw new Error("nothing to choose from");
    return choice;
  }
}
