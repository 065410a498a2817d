/** A YAML node of an envoyproxy/ratelimit file, with what a scalar is to that project's parser. */
export type ConfigNode = ConfigScalar | ConfigList | ConfigMap;

export type ConfigScalar = {
  readonly kind: "null" | "bool" | "int" | "float" | "string";
  /** As written. */
  readonly text: string;
  readonly value: null | boolean | number | string;
  readonly offset: number;
};

export type ConfigList = {
  readonly kind: "list";
  readonly items: readonly ConfigNode[];
  readonly offset: number;
};

/** In order, merged maps (`<<`) in their place; of keys that are there twice the last one counts. */
export type ConfigMap = {
  readonly kind: "map";
  readonly entries: readonly { readonly key: ConfigNode; readonly value: ConfigNode }[];
  readonly offset: number;
};

export type ConfigIssue = { readonly offset: number; readonly message: string };

const WORDS: Readonly<Record<string, null | boolean>> = {
  ...{ "": null, "~": null, null: null, Null: null, NULL: null },
  ...{ y: true, Y: true, yes: true, Yes: true, YES: true, on: true, On: true, ON: true },
  ...{ true: true, True: true, TRUE: true, false: false, False: false, FALSE: false },
  ...{ n: false, N: false, no: false, No: false, NO: false, off: false, Off: false, OFF: false },
};
const INTEGER = /^[-+]?(0[xX][\da-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|[1-9]\d*|0)$/;
const FLOAT = /^[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?$/;
const SPECIAL_FLOAT = /^([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$/;

/** What gopkg.in/yaml.v2 makes of a scalar without quotes: mostly YAML 1.1. */
export function plainScalar(text: string, offset: number): ConfigScalar {
  const word = Object.hasOwn(WORDS, text) ? WORDS[text] : undefined;
  if (word !== undefined) {
    return { kind: word === null ? "null" : "bool", text, value: word, offset };
  }
  const digits = text.replaceAll("_", "");
  const startsLikeNumber = /^[-+\d.]/.test(text);
  const integer = startsLikeNumber && INTEGER.test(digits) ? integerOf(digits) : undefined;
  if (integer !== undefined) return { kind: "int", text, value: integer, offset };
  if (startsLikeNumber && (FLOAT.test(digits) || SPECIAL_FLOAT.test(text))) {
    return { kind: "float", text, value: Number(digits), offset };
  }
  return { kind: "string", text, value: text, offset };
}

/** Undefined: over 63 bits, which that parser has as another kind of number. */
function integerOf(text: string): number | undefined {
  const magnitude = text.replace(/^[-+]/, "").replace(/^0(?=[0-7])/, "0o");
  const value = BigInt(magnitude.toLowerCase());
  if (value >= 2n ** 63n) return undefined;
  return text.startsWith("-") ? -Number(value) : Number(value);
}
