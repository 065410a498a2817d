import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { systemRandom } from "../../../../src/adapters/system/random.js";
import {
  type HealthChange,
  type PolledVersionHealth,
  pollVersionHealth,
} from "../../../../src/adapters/version-health/poll-version-health.js";
import { Model } from "../../../../src/schema/model.js";

/** A pod whose answer the test chooses; `hang` accepts and never answers. */
type Pod = { answer: number | "hang"; asked: string[]; port: number; server: Server };

let pods: Pod[];
let changes: HealthChange[];
let health: PolledVersionHealth | undefined;
beforeEach(() => {
  pods = [];
  changes = [];
});
afterEach(() => {
  health?.close();
  for (const { server } of pods) {
    server.close();
    server.closeAllConnections();
  }
});

async function aPod(answer: Pod["answer"]): Promise<Pod> {
  const pod: Pod = {
    answer,
    asked: [],
    port: 0,
    server: createServer((request, response) => {
      pod.asked.push(String(request.url));
      if (pod.answer !== "hang") response.writeHead(pod.answer).end("{}");
    }),
  };
  await new Promise<void>((resolve) => pod.server.listen(0, "127.0.0.1", resolve));
  pod.port = (pod.server.address() as AddressInfo).port;
  pods.push(pod);
  return pod;
}

const aModel = (
  versions: Readonly<Record<string, number>>,
  check: Record<string, unknown> | undefined = {},
) =>
  Model.parse({
    name: "magika",
    match: { pathPrefix: "/" },
    default: Object.keys(versions)[0],
    versions: Object.entries(versions).map(([name, port]) => ({
      name,
      address: { host: "127.0.0.1", port },
    })),
    health: { interval: "10ms", timeout: "200ms", ...check },
  });

function polling(...models: Model[]): PolledVersionHealth {
  health = pollVersionHealth({
    models,
    random: systemRandom(),
    onChange: (change) => changes.push(change),
  });
  return health;
}

const until = (claim: () => void) => vi.waitFor(claim, { timeout: 5000, interval: 2 });
const asks = (pod: Pod, count: number) => {
  const before = pod.asked.length;
  return until(() => {
    expect(pod.asked.length).toBeGreaterThanOrEqual(before + count);
  });
};
const unhealthyIs = (expected: readonly string[]) =>
  until(() => {
    expect([...health!.unhealthy()]).toEqual(expected);
  });

test("a version is healthy until its checks fail, and again when they pass", async () => {
  const [v1, v3] = [await aPod(200), await aPod(200)];
  const polled = polling(aModel({ v1: v1.port, v3: v3.port }));
  expect(polled.unhealthy().size).toBe(0);
  await asks(v3, 3);
  expect(polled.unhealthy().size).toBe(0);
  v3.answer = 503;
  await unhealthyIs(["magika/v3"]);
  v3.answer = 200;
  await unhealthyIs([]);
  expect(changes).toEqual([
    { model: "magika", version: "v3", healthy: false, because: "status 503" },
    { model: "magika", version: "v3", healthy: true, because: "status 200" },
  ]);
});

test.each([
  { name: "a redirect", answer: 302 as const, because: "status 302" },
  { name: "204, for only 200 is healthy", answer: 204 as const, because: "status 204" },
  { name: "no answer", answer: "hang" as const, because: "no answer in 20 ms" },
])("$name is unhealthy", async ({ answer, because }) => {
  const pod = await aPod(answer);
  polling(aModel({ v1: pod.port }, { timeout: answer === "hang" ? "20ms" : "5s" }));
  await unhealthyIs(["magika/v1"]);
  expect(changes[0]?.because).toBe(because);
});

test("a refused connection is unhealthy", async () => {
  const pod = await aPod(200);
  await new Promise((resolve) => pod.server.close(resolve));
  polling(aModel({ v1: pod.port }));
  await unhealthyIs(["magika/v1"]);
  expect(changes[0]?.because).toBe("ECONNREFUSED");
});

test("the check asks the path of the policy", async () => {
  const pod = await aPod(200);
  polling(aModel({ v1: pod.port }, { path: "/v2/models/magika/ready" }));
  await asks(pod, 1);
  expect(pod.asked[0]).toBe("/v2/models/magika/ready");
});

test("a model without `health` is never asked, and healthy", async () => {
  const [unchecked, checked] = [await aPod(503), await aPod(200)];
  const plain = { ...aModel({ v1: unchecked.port }) };
  delete plain.health;
  polling(plain, { ...aModel({ v1: checked.port }), name: "other" });
  await asks(checked, 3);
  expect(unchecked.asked).toEqual([]);
  expect(health!.unhealthy().size).toBe(0);
});

test("a reload keeps what is known of an address, even when the check itself changed", async () => {
  const pod = await aPod(503);
  polling(aModel({ v1: pod.port }));
  await unhealthyIs(["magika/v1"]);
  pod.answer = "hang";
  health!.update([aModel({ v1: pod.port }, { timeout: "5s", interval: "20ms" })]);
  expect([...health!.unhealthy()]).toEqual(["magika/v1"]);
  await asks(pod, 1);
});

test("a reload forgets a version that moved or went", async () => {
  const [old, moved] = [await aPod(503), await aPod(200)];
  polling(aModel({ v1: old.port, v3: old.port }));
  await unhealthyIs(["magika/v1", "magika/v3"]);
  health!.update([aModel({ v1: moved.port })]);
  expect(health!.unhealthy().size).toBe(0);
  const asked = old.asked.length;
  await asks(moved, 3);
  expect(old.asked.length).toBe(asked);
});

test("after close nothing is asked and nothing changes", async () => {
  const pod = await aPod("hang");
  polling(aModel({ v1: pod.port }, { unhealthyThreshold: 1, timeout: "5s" }));
  await asks(pod, 1);
  const closed = new Promise((resolve) => pod.server.once("close", resolve));
  pod.server.close();
  health!.close();
  await closed;
  expect(pod.asked).toHaveLength(1);
  expect(changes).toEqual([]);
});
