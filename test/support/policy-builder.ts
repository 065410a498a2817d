import type { z } from "zod";
import { compilePolicy } from "../../src/core/policy/compile-policy.js";
import type { CompiledPolicy } from "../../src/core/policy/compiled-policy.js";
import { headerViewOf } from "../../src/core/routing/facts.js";
import type { RequestFacts } from "../../src/core/routing/facts.js";
import type { Policy } from "../../src/schema/policy.js";
import { validatePolicy } from "../../src/schema/validate-policy.js";

/** What an operator writes: defaults may be left out. */
export type PolicyInput = z.input<typeof Policy>;
type Listed<Key extends keyof PolicyInput> =
  NonNullable<PolicyInput[Key]> extends (infer T)[] ? T : never;
export type ExperimentInput = Listed<"experiments">;
export type ModelInput = Listed<"models">;
export type LimitInput = Listed<"limits">;

export function aModel(changes: Partial<ModelInput> = {}): ModelInput {
  return {
    name: "m",
    match: { pathPrefix: "/v2/models/m" },
    versions: [
      { name: "v1", region: "eu", address: { host: "m-v1", port: 8080 } },
      { name: "v2", region: "me", address: { host: "m-v2", port: 8080 } },
      { name: "v3", region: "eu", address: { host: "m-v3", port: 8080 } },
    ],
    default: "v1",
    ...changes,
  };
}

/** Half control on v1, half treatment on v2. */
export function anExperiment(changes: Partial<ExperimentInput> = {}): ExperimentInput {
  return {
    name: "e",
    model: "m",
    unit: "user",
    arms: [
      { name: "control", version: "v1", start: 0, share: 5000 },
      { name: "treatment", version: "v2", start: 5000, share: 5000 },
    ],
    ...changes,
  };
}

export function aLimit(changes: Partial<LimitInput> = {}): LimitInput {
  return { name: "l", key: ["tenant"], quota: { requests: 2, period: "1s" }, ...changes };
}

/** A valid document: one model, two units, nothing else. */
export function aPolicyDocument(changes: Partial<PolicyInput> = {}): PolicyInput {
  return {
    apiVersion: "weir.dev/v1",
    kind: "ServingPolicy",
    metadata: { name: "p" },
    units: {
      user: { from: [{ header: "x-user-id" }, { cookie: "uid" }] },
      tenant: { from: [{ header: "x-tenant" }] },
    },
    models: [aModel()],
    ...changes,
  };
}

/** The compiled document; throws with its mistakes when it has any. */
export function aPolicy(
  changes: Partial<PolicyInput> = {},
  overrideKeys?: ReadonlyMap<string, Uint8Array>,
): CompiledPolicy {
  const validated = validatePolicy(aPolicyDocument(changes));
  if (validated.kind === "invalid") throw new Error(JSON.stringify(validated.issues));
  const compiled = compilePolicy(validated.policy, overrideKeys);
  if ("issues" in compiled) throw new Error(JSON.stringify(compiled.issues));
  return compiled.policy;
}

export type RequestInput = {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  /** Shorthand for header x-user-id. */
  readonly user?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly principal?: string;
  readonly unhealthy?: readonly string[];
};

/** A request to the base policy's model, from nobody. */
export function aRequest(request: RequestInput = {}): RequestFacts {
  const { method = "POST", path = "/v2/models/m/infer", host = "h", user, principal } = request;
  return {
    method,
    path,
    host,
    headers: headerViewOf({
      ...(user === undefined ? {} : { "x-user-id": user }),
      ...request.headers,
    }),
    principal,
    unhealthy: new Set(request.unhealthy),
  };
}
