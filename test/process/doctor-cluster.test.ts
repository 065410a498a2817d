import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test } from "vitest";
import { CLUSTER_RESOURCES } from "../../src/adapters/mesh/read-cluster.js";
import { soundMesh, type Document } from "../support/sound-mesh.js";
import { weir } from "../support/weir-command.js";

const folder = mkdtempSync(join(tmpdir(), "weir-doctor-cluster-"));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

const PAGE_SIZE = 2;

/** Lists as an API server gives them: in pages, the items without their kind, refusals on demand. */
async function serveLists(
  documents: readonly Document[],
  refuse: (path: string) => number | undefined = () => undefined,
): Promise<{ readonly kubeconfig: string; readonly asked: readonly IncomingMessage[] }> {
  const asked: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    asked.push(request);
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://api");
    const [, core, group = core, plural = ""] =
      /^\/(?:api\/(v1)|apis\/([^/]+\/[^/]+))\/([a-z]+)$/.exec(pathname) ?? [];
    const kind = CLUSTER_RESOURCES[group ?? ""]?.[plural];
    const status =
      request.headers.authorization === "Bearer secret" ? (refuse(pathname) ?? 200) : 401;
    response.writeHead(kind === undefined ? 404 : status, { "content-type": "application/json" });
    const all = documents.filter((one) => one["kind"] === kind && one["apiVersion"] === group);
    const from = Number(searchParams.get("continue") ?? 0);
    const next = from + PAGE_SIZE < all.length ? String(from + PAGE_SIZE) : "";
    const items = all
      .slice(from, from + PAGE_SIZE)
      .map((one) => ({ ...one, kind: undefined, apiVersion: undefined }));
    response.end(JSON.stringify({ items, metadata: { continue: next } }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => server.close());
  const kubeconfig = join(folder, "kubeconfig");
  const { port } = server.address() as AddressInfo;
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      // Plain HTTP, as kubectl proxy speaks it, is taken only with this.
      clusters: [
        {
          name: "here",
          cluster: { server: `http://127.0.0.1:${port}/`, "insecure-skip-tls-verify": true },
        },
      ],
      users: [{ name: "me", user: { token: "secret" } }],
      contexts: [{ name: "here", context: { cluster: "here", user: "me" } }],
      "current-context": "here",
    }),
  );
  return { kubeconfig, asked };
}

test("a sound cluster has no findings, and is only read", async () => {
  const { kubeconfig, asked } = await serveLists(soundMesh());
  const { code, stdout, stderr } = await weir(["doctor", "--kubeconfig", kubeconfig]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/^examined \d{2} documents: 0 errors, 0 warnings\n$/);
  expect([...new Set(asked.map(({ method }) => method))]).toEqual(["GET"]);
});

test("a finding names the object, and the place in it", async () => {
  const documents = soundMesh().map((document) =>
    document["kind"] === "DestinationRule"
      ? (JSON.parse(
          JSON.stringify(document).replace('"maxRequestsPerConnection":800', '"maxRetries":9'),
        ) as Document)
      : document,
  );
  const { kubeconfig } = await serveLists(documents);
  const { code, stdout } = await weir(["doctor", "--kubeconfig", kubeconfig, "--context", "here"]);
  expect(code).toBe(1);
  expect(stdout).toContain(
    "at   spec.trafficPolicy.connectionPool.http.maxRequestsPerConnection, DestinationRule weir-system/weir-extproc",
  );
});

test("a cluster that does not know some resources has none of them", async () => {
  const documents = soundMesh().filter(({ kind }) => kind !== "HorizontalPodAutoscaler");
  const deployments = documents.map((document) =>
    document["kind"] === "Deployment"
      ? { ...document, spec: { ...(document["spec"] as object), replicas: 2 } }
      : document,
  );
  const { kubeconfig } = await serveLists(deployments, (path) =>
    path.endsWith("/horizontalpodautoscalers") || path.endsWith("/sidecars") ? 404 : undefined,
  );
  const { code, stderr } = await weir(["doctor", "--kubeconfig", kubeconfig]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
});

test("a right that lacks is named with the resource, and nothing is guessed", async () => {
  const { kubeconfig } = await serveLists(soundMesh(), (path) =>
    path.endsWith("/envoyfilters") ? 403 : undefined,
  );
  const { code, stdout, stderr } = await weir(["doctor", "--kubeconfig", kubeconfig]);
  expect({ code, stdout }).toEqual({ code: 69, stdout: "" });
  expect(stderr).toMatch(
    /^http:\S+: cannot list envoyfilters: status 403: docs\/doctor\.md has the ClusterRole/,
  );
});
