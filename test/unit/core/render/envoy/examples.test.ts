import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { writeYaml } from "../../../../../src/adapters/yaml/write-yaml.js";
import { ENVOY_DEFAULTS } from "../../../../../src/core/render/envoy/options.js";
import { renderEnvoy } from "../../../../../src/core/render/envoy/render-envoy.js";
import { readPolicy } from "../../../../support/read-policy.js";

const EXAMPLES = join(import.meta.dirname, "../../../../../envoy");
const FAIL_CLOSED = ["rate-limits.yaml"];

const files = readdirSync(join(EXAMPLES, "policies"));

test.each(files)(
  "envoy/%s is what its policy renders to (npm run render:examples)",
  async (file) => {
    const { policy, headersRead, fallback } = readPolicy(join(EXAMPLES, "policies", file));
    const failureMode = FAIL_CLOSED.includes(file) ? "closed" : "open";
    const options = { ...ENVOY_DEFAULTS, headersRead, fallback, failureMode } as const;
    await expect(writeYaml(renderEnvoy(policy, options))).toMatchFileSnapshot(join(EXAMPLES, file));
  },
);
