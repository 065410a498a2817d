import type { QueuedRequest } from "../../../../src/core/batching/request.js";

export type TestRequest = QueuedRequest & { readonly name: string };

/** A request of one item that came at 0 and has all the time there is. */
export function aRequest(over: Partial<TestRequest> = {}): TestRequest {
  return {
    ...{ name: "", items: 1, shapeKey: "a", length: 1, enqueuedAtMs: 0, deadlineAtMs: Infinity },
    ...{ priority: 0, tenant: "", rankMs: 0, workMs: 0, predictedMs: 0, isTaken: false },
    ...over,
  };
}
