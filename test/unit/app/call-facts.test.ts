import { expect, test } from "vitest";
import { meshFactsOf, meshTimeoutMsOf } from "../../../src/app/call-facts.js";

function read(headers: Readonly<Record<string, string>>) {
  const header = (name: string) => headers[name];
  return { ...meshFactsOf(header), timeoutMs: meshTimeoutMsOf(header) };
}
const NOTHING = {
  ...{ timeoutMs: undefined, attempt: 1, shadow: false },
  ...{ decision: null, policy: null, arms: null, requestId: null },
};

test("what extproc and Envoy say is read", () => {
  const headers = {
    "x-envoy-expected-rq-timeout-ms": "250",
    "x-envoy-attempt-count": "2",
    "x-weir-shadow": "1",
    "x-weir-decision": "01JDB2S6GZQ0Y1V8T3M5N7P9RX",
    "x-weir-policy": "0123456789ab",
    "x-weir-arms": "a=treatment, b=control",
    "x-request-id": "6d1a3c1e-6f0f-4d2b-9c57-0c1a5c3f2d10",
  };
  expect(read(headers)).toEqual({
    ...{ timeoutMs: 250, attempt: 2, shadow: true },
    decision: headers["x-weir-decision"],
    policy: headers["x-weir-policy"],
    arms: headers["x-weir-arms"],
    requestId: headers["x-request-id"],
  });
});

test.each([
  ["x-weir-decision", "01JD"],
  ["x-weir-decision", "81JDB2S6GZQ0Y1V8T3M5N7P9RX"],
  ["x-weir-decision", '01JDB2S6GZQ0Y1V8T3M5N7P9R"'],
  ["x-weir-policy", "latest"],
  ["x-weir-arms", ""],
  ["x-weir-arms", "a=;b"],
  ["x-weir-arms", `a=${"b".repeat(5000)}`],
  ["x-weir-shadow", "true"],
  ["x-request-id", "a b"],
  ["x-request-id", "a".repeat(129)],
  ["x-envoy-attempt-count", "0"],
  ["x-envoy-expected-rq-timeout-ms", "1e3"],
])("%s: %s is as good as absent", (name, value) => {
  expect(read({ [name]: value })).toEqual(NOTHING);
});
