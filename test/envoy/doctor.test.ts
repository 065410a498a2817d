import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ENVOY_VERSIONS, envoyBinary } from "../../src/adapters/toolchain/envoy-binary.js";
import { renderEnvoy } from "../../src/core/render/envoy/render-envoy.js";
import type { RenderedDocument } from "../../src/core/render/rendered-document.js";
import { startEnvoy, testEnvoyOptions, type EnvoyProcess } from "../support/envoy-process.js";
import { readPolicy } from "../support/read-policy.js";
import { weir } from "../support/weir-command.js";

const POLICIES = join(import.meta.dirname, "../../envoy/policies");
const OLDEST_AND_NEWEST = [ENVOY_VERSIONS[0]!, ENVOY_VERSIONS.at(-1)!];

describe.each(OLDEST_AND_NEWEST)("the dump of a real Envoy %s", (version) => {
  let binary = "";
  const running: EnvoyProcess[] = [];
  beforeAll(async () => {
    binary = await envoyBinary({ version, onProgress: console.log });
  });
  afterAll(async () => {
    for (const envoy of running) await envoy.stop();
  });

  const rendered = (file: string, gracefulClose = false) => {
    const { policy, headersRead } = readPolicy(join(POLICIES, file));
    return renderEnvoy(policy, testEnvoyOptions({ headersRead, gracefulClose }));
  };
  const examined = async (document: RenderedDocument, ...args: readonly string[]) => {
    const envoy = await startEnvoy(binary, document);
    running.push(envoy);
    const admin = `http://127.0.0.1:${envoy.adminPort}`;
    const { stdout } = await weir(["doctor", "--json", "--config-dump", admin, ...args]);
    return JSON.parse(stdout) as readonly { readonly id: string; readonly where: string }[];
  };

  test.each(readdirSync(POLICIES))("finds nothing in envoy/%s", async (file) => {
    expect(await examined(rendered(file), "-p", join(POLICIES, file))).toEqual([]);
  });

  test("tells what Envoy fills in where nothing was said", async () => {
    const document = rendered("shadow.yaml");
    const root = JSON.parse(
      JSON.stringify(document.root)
        .replace('"response_header_mode":"SKIP",', "")
        .replace('"max_requests":1000000,"max_retries":1000000', '"max_retries":1000000'),
    ) as RenderedDocument["root"];
    const found = await examined({ ...document, root, comments: [] });
    expect(found.map(({ id }) => id).sort()).toEqual(["response-headers-sent", "threshold-1024"]);
    expect(found.find(({ id }) => id === "threshold-1024")?.where).toContain(
      "configs[ClustersConfigDump].static_clusters[weir-extproc].cluster.circuit_breakers",
    );
  });

  test("knows which Envoys crash with the runtime flag", async () => {
    const found = await examined(rendered("shadow.yaml", true));
    const crashes = version === OLDEST_AND_NEWEST[0] ? ["graceful-close-crash"] : [];
    expect(found.map(({ id }) => id)).toEqual(crashes);
  });
});
