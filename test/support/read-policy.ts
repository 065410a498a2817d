import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { compilePolicy } from "../../src/core/policy/compile-policy.js";
import { fallbackOf } from "../../src/core/render/fallback/fallback-program.js";
import { Policy } from "../../src/schema/policy.js";

/** A policy file, and what renderers need of its compiled form. */
export function readPolicy(file: string): {
  readonly policy: Policy;
  readonly headersRead: readonly string[];
  readonly fallback: string | undefined;
} {
  const policy = Policy.parse(parse(readFileSync(file, "utf8")));
  const compiled = compilePolicy(policy);
  if ("issues" in compiled) throw new Error(`${file}: ${JSON.stringify(compiled.issues)}`);
  const { program: fallback } = fallbackOf(compiled.policy);
  return { policy, headersRead: compiled.policy.headersRead, fallback };
}
