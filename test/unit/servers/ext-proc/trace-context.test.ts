import { propagation, trace } from "@opentelemetry/api";
import { NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { headerViewOf } from "../../../../src/core/routing/facts.js";
import { parentContextOf } from "../../../../src/servers/ext-proc/trace-context.js";

const OF_PROXY = "11111111111111111111111111111111";
const OF_CLIENT = "22222222222222222222222222222222";
const traceparent = (traceId: string) => `00-${traceId}-3333333333333333-01`;

beforeAll(() => {
  new NodeTracerProvider().register();
});
afterAll(() => {
  propagation.disable();
  trace.disable();
});

test.each([
  { name: "the proxy's span wins", metadata: OF_PROXY, header: OF_CLIENT, expected: OF_PROXY },
  { name: "the client's, when the proxy does not trace", header: OF_CLIENT, expected: OF_CLIENT },
  { name: "none when nobody traces", expected: undefined },
])("$name", ({ metadata, header, expected }) => {
  const view = (traceId?: string) =>
    headerViewOf(traceId === undefined ? {} : { traceparent: traceparent(traceId) });
  expect(trace.getSpanContext(parentContextOf(view(metadata), view(header)))?.traceId).toBe(
    expected,
  );
});
