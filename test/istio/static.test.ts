import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { analysisOf, istioctlOf, type Istioctl } from "../support/istio/istioctl.js";
import { istioTools } from "../support/istio/istio-tools.js";

const ISTIO = join(import.meta.dirname, "../../istio");
const EXAMPLES = ["ab-test", "mesh-clients", "shadow-and-limits"];

/** The Gateway that the examples refer to and a cluster has. */
const GATEWAY = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: istio-ingress, namespace: istio-ingress }
spec:
  selector: { istio: ingress }
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ["*"] }]
`;

let istioctl: Istioctl;
let folder: string;
let gateway: string;
beforeAll(async () => {
  istioctl = istioctlOf(await istioTools());
  folder = await mkdtemp(join(tmpdir(), "weir-istioctl-"));
  gateway = join(folder, "gateway.yaml");
  await writeFile(gateway, GATEWAY);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe.each(EXAMPLES)("istio/%s.yaml", (name) => {
  const file = join(ISTIO, `${name}.yaml`);

  test("has nothing that istioctl validate minds", async () => {
    const { code, stdout, stderr } = await istioctl("validate", "-f", file);
    // Unknown fields inside an EnvoyFilter are warnings only.
    expect(stdout + stderr).not.toMatch(/unknown field|can't unmarshal|error/i);
    expect(code).toBe(0);
  });

  test("has nothing that istioctl analyze minds, but that EnvoyFilters are used at all", async () => {
    expect(await analysisOf(istioctl, [gateway, file])).toBeNull();
  });
});

test("the gate would notice a field that no Envoy knows", async () => {
  const text = await readFile(join(ISTIO, "ab-test.yaml"), "utf8");
  const broken = join(folder, "broken.yaml");
  await writeFile(broken, text.replace("failure_mode_allow:", "failure_mode_alow:"));
  const { stdout, stderr } = await istioctl("validate", "-f", broken);
  expect(stdout + stderr).toContain('unknown field "failure_mode_alow"');
});
