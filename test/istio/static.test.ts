import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { istioTools, type IstioTools } from "../support/istio/istio-tools.js";

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

let tools: IstioTools;
let folder: string;
let gateway: string;
beforeAll(async () => {
  tools = await istioTools();
  folder = await mkdtemp(join(tmpdir(), "weir-istioctl-"));
  gateway = join(folder, "gateway.yaml");
  await writeFile(gateway, GATEWAY);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** istioctl without a cluster; where it looks for one it would wait for ever. */
async function istioctl(...args: readonly string[]) {
  const run = promisify(execFile)(tools.istioctl, args, { timeout: 60_000 });
  return run.then(
    ({ stdout, stderr }) => ({ code: 0, output: stdout + stderr }),
    (error: unknown) => {
      const { code, stdout, stderr } = error as Record<"code" | "stdout" | "stderr", string>;
      return { code: Number(code), output: stdout + stderr };
    },
  );
}

describe.each(EXAMPLES)("istio/%s.yaml", (name) => {
  const file = join(ISTIO, `${name}.yaml`);

  test("has nothing that istioctl validate minds", async () => {
    const { code, output } = await istioctl("validate", "-f", file);
    // Unknown fields inside an EnvoyFilter are warnings only.
    expect(output).not.toMatch(/unknown field|can't unmarshal|error/i);
    expect(code).toBe(0);
  });

  test("has nothing that istioctl analyze minds, but that EnvoyFilters are used at all", async () => {
    const { code, output } = await istioctl(
      ...["analyze", "-A", "--use-kube=false", "--failure-threshold", "Warning"],
      ...["--suppress", "IST0133=EnvoyFilter *", gateway, file],
    );
    expect(output).toContain("No validation issues found");
    expect(code).toBe(0);
  });
});

test("the gate would notice a field that no Envoy knows", async () => {
  const text = await readFile(join(ISTIO, "ab-test.yaml"), "utf8");
  const broken = join(folder, "broken.yaml");
  await writeFile(broken, text.replace("failure_mode_allow:", "failure_mode_alow:"));
  const { output } = await istioctl("validate", "-f", broken);
  expect(output).toContain('unknown field "failure_mode_alow"');
});
