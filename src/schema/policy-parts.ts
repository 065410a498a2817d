import type { z } from "zod";
import { Experiment, Holdout, Layer } from "./experiment.js";
import { Limit } from "./limit.js";
import { Model } from "./model.js";
import type { PolicyIssue } from "./policy-issue.js";
import { RateLimitDomain } from "./rate-limit.js";
import { Residency } from "./residency.js";
import { Shadow } from "./shadow.js";
import { Context } from "./unit.js";

/** One item of a list of the policy that is well formed by itself. */
export type Item<T> = { readonly value: T; readonly path: PolicyIssue["path"] };

/**
 * What could be read of a policy, well formed or not, so that the rules across fields can be
 * checked beside a misspelt key elsewhere, and everything is reported at once.
 */
export type PolicyParts = {
  readonly units: ReadonlySet<string>;
  readonly context: Context;
  readonly models: readonly Item<Model>[];
  readonly layers: readonly Item<z.infer<typeof Layer>>[];
  readonly holdouts: readonly Item<Holdout>[];
  readonly experiments: readonly Item<Experiment>[];
  readonly shadows: readonly Item<Shadow>[];
  readonly limits: readonly Item<Limit>[];
  readonly rateLimits: readonly Item<RateLimitDomain>[];
  readonly residency: readonly Item<Residency>[];
  /** Names in a list, also of items that are not well formed: they do exist. */
  names(list: string): ReadonlySet<string>;
};

/** Reads what can be read; `unknownKeys` are left out, or they would spoil the items they stand in. */
export function policyPartsOf(
  original: unknown,
  unknownKeys: readonly PolicyIssue["path"][],
): PolicyParts {
  const document = without(unknownKeys, original);
  const list = <S extends z.ZodType>(name: string, schema: S): Item<z.infer<S>>[] =>
    listOf(document, name).flatMap((raw, at) => {
      const parsed = schema.safeParse(raw);
      return parsed.success ? [{ value: parsed.data, path: [name, at] }] : [];
    });
  const units = memberOf(document, "units");
  return {
    units: new Set(typeof units === "object" && units !== null ? Object.keys(units) : []),
    context: Context.safeParse(memberOf(document, "context")).data ?? Context.parse({}),
    models: list("models", Model),
    layers: list("layers", Layer),
    holdouts: list("holdouts", Holdout),
    experiments: list("experiments", Experiment),
    shadows: list("shadows", Shadow),
    limits: list("limits", Limit),
    rateLimits: list("rateLimits", RateLimitDomain),
    residency: list("residency", Residency),
    names: namesIn(document),
  };
}

/** Every rule asks for them; each list is read once. */
function namesIn(document: unknown): PolicyParts["names"] {
  const read = new Map<string, ReadonlySet<string>>();
  return (list) => {
    const known = read.get(list);
    if (known !== undefined) return known;
    const named = listOf(document, list)
      .map(nameOf)
      .filter((name) => name !== "");
    const names = new Set(named);
    read.set(list, names);
    return names;
  };
}

function without(paths: readonly PolicyIssue["path"][], document: unknown): unknown {
  if (paths.length === 0) return document;
  // A policy is plain data; structuredClone is no part of the language.
  const copy: unknown = JSON.parse(JSON.stringify(document));
  for (const path of paths) {
    const parent = path.slice(0, -1).reduce<unknown>(memberOf, copy);
    const key = path.at(-1);
    if (typeof parent === "object" && parent !== null && key !== undefined) {
      Reflect.deleteProperty(parent, key);
    }
  }
  return copy;
}

function listOf(document: unknown, name: string): readonly unknown[] {
  const list = memberOf(document, name);
  return Array.isArray(list) ? list : [];
}

function nameOf(item: unknown): string {
  const name = memberOf(item, "name");
  return typeof name === "string" ? name : "";
}

function memberOf(value: unknown, key: string | number): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Readonly<Record<string | number, unknown>>)[key]
    : undefined;
}
