import { expect, test } from "vitest";
import { TenantQueues } from "../../../../src/core/batching/tenant-queues.js";
import { aRequest } from "./a-request.js";
import type { TestRequest } from "./a-request.js";

function queuesOf(...requests: readonly Partial<TestRequest>[]) {
  const queues = new TenantQueues<TestRequest>();
  const all = requests.map((over) => aRequest({ workMs: 1, ...over }));
  for (const request of all) queues.add(request);
  return { queues, all };
}

test("a tenant's requests stand by rank, equal ones in order of arrival", () => {
  const { queues } = queuesOf(
    { name: "c", rankMs: 3 },
    { name: "a", rankMs: 1 },
    { name: "d", rankMs: 3 },
    { name: "b", rankMs: 2 },
  );
  const waiting = queues.tenants.get("")?.waiting ?? [];
  expect(waiting.map(({ name }) => name)).toEqual(["a", "b", "c", "d"]);
});

test("what is ahead is the tenant's own of lesser rank, and as much of every other", () => {
  const { queues } = queuesOf(
    ...[1, 2, 3].map((rankMs) => ({ tenant: "a", rankMs })),
    ...Array.from({ length: 9 }, () => ({ tenant: "b" })),
  );
  const newcomer = aRequest({ tenant: "a", rankMs: 2.5, workMs: 1 });
  expect(queues.workAheadMs(newcomer)).toBe(2 + 3);
});

test("a request is removed once, and a tenant is forgotten with its last", () => {
  const { queues, all } = queuesOf({ tenant: "a" }, { tenant: "b", items: 3 });
  queues.remove(all.slice(1));
  queues.remove(all.slice(1));
  expect([queues.items, queues.requests, [...queues.tenants.keys()]]).toEqual([1, 1, ["a"]]);
});

test("the last of whoever has most makes room, and nobody for one that has as much", () => {
  const { queues, all } = queuesOf(
    { tenant: "a" },
    { tenant: "a" },
    { tenant: "a" },
    { tenant: "b" },
  );
  expect(queues.displaceable(aRequest({ tenant: "b", workMs: 1 }))).toBe(all[2]);
  expect(queues.displaceable(aRequest({ tenant: "a", workMs: 1 }))).toBeUndefined();
  expect(queues.displaceable(aRequest({ tenant: "b", workMs: 2 }))).toBeUndefined();
});

test("a tenant that comes back is not owed the time it was away", () => {
  const { queues, all } = queuesOf({ tenant: "a", workMs: 50 }, { tenant: "a", workMs: 50 });
  queues.serve(all.slice(0, 1));
  queues.add(aRequest({ tenant: "b" }));
  expect(queues.tenants.get("b")?.servedMs).toBe(0);
  queues.serve(all.slice(1));
  queues.add(aRequest({ tenant: "c" }));
  expect(queues.tenants.get("c")?.servedMs).toBe(50);
});
