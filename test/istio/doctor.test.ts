import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CHART, templateChart, VALUE_SETS } from "../support/istio/chart.js";
import { openIstioLab, type IstioLab } from "../support/istio/istio-lab.js";
import { istioPolicy } from "../support/istio/istio-policy.js";
import { istioTools } from "../support/istio/istio-tools.js";
import { weir } from "../support/weir-command.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weir-doctor-istio-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

type Found = { readonly id: string; readonly what: string };

async function examined(...args: readonly string[]): Promise<readonly Found[]> {
  const { stdout, stderr } = await weir(["doctor", "--json", ...args]);
  expect(stderr).toBe("");
  return JSON.parse(stdout) as readonly Found[];
}

describe("proxies that a real istiod has programmed", () => {
  let lab: IstioLab;
  let policy: string;
  beforeAll(async () => {
    lab = await openIstioLab(istioPolicy);
    policy = join(folder, "policy.yaml");
    const outside = { host: "127.0.0.1", port: lab.outside.port };
    await writeFile(policy, JSON.stringify(istioPolicy(outside)));
  });
  afterAll(() => lab.close());

  const dumpOf = async (name: keyof IstioLab["proxies"]) => {
    const file = join(folder, `${name}.json`);
    await writeFile(file, JSON.stringify(await lab.proxies[name].configDump()));
    return file;
  };

  test.each(["gateway", "client"] as const)(
    "the %s has nothing wrong but the patience that the lab gives it",
    async (name) => {
      const found = await examined("--config-dump", await dumpOf(name), "-p", policy);
      expect(found.map(({ id, what }) => `${id}: ${what}`)).toEqual([
        "message-timeout: a request waits 20000 ms for its decision",
      ]);
    },
  );

  test("extproc's replica has the policy that the gateway was rendered for", async () => {
    const admin = `http://${lab.extprocs[0]!.address("admin")}`;
    expect(await examined("--replica", admin, "-p", policy)).toEqual([]);
  });
});

test.each(VALUE_SETS)("the chart with %s has nothing wrong", async (values) => {
  const file = join(folder, "chart.yaml");
  const args = ["-f", join(CHART, values)];
  await writeFile(file, await templateChart(await istioTools(), "weir-system", ...args));
  expect(await examined(file)).toEqual([]);
});
