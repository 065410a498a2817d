import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { writeKubernetesYaml } from "../../../../../src/adapters/yaml/write-yaml.js";
import { istioIssues } from "../../../../../src/core/render/istio/istio-issues.js";
import { ISTIO_DEFAULTS } from "../../../../../src/core/render/istio/options.js";
import { renderIstio } from "../../../../../src/core/render/istio/render-istio.js";
import { readPolicy } from "../../../../support/read-policy.js";

const EXAMPLES = join(import.meta.dirname, "../../../../../istio");
const CLIENT_NAMESPACES: Readonly<Record<string, readonly string[]>> = {
  "mesh-clients.yaml": ["apps"],
};

test.each(readdirSync(join(EXAMPLES, "policies")))(
  "istio/%s is what its policy renders to (npm run render:examples)",
  async (file) => {
    const { policy, headersRead, fallback } = readPolicy(join(EXAMPLES, "policies", file));
    const clientNamespaces = CLIENT_NAMESPACES[file] ?? [];
    const options = { ...ISTIO_DEFAULTS, headersRead, fallback, clientNamespaces };
    expect(istioIssues(policy, options)).toEqual([]);
    const text = writeKubernetesYaml(renderIstio(policy, options));
    await expect(text).toMatchFileSnapshot(join(EXAMPLES, file));
  },
);
