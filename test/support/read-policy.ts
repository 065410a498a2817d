import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { compilePolicy } from "../../src/core/policy/compile-policy.js";
import { Policy } from "../../src/schema/policy.js";

/** A policy file and the headers that it reads. */
export function readPolicy(file: string): {
  readonly policy: Policy;
  readonly headersRead: readonly string[];
} {
  const policy = Policy.parse(parse(readFileSync(file, "utf8")));
  const compiled = compilePolicy(policy);
  if ("issues" in compiled) throw new Error(`${file}: ${JSON.stringify(compiled.issues)}`);
  return { policy, headersRead: compiled.policy.headersRead };
}
