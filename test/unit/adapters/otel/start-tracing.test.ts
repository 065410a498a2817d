import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { propagation, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { afterEach, expect, test } from "vitest";
import { startTracing, type Tracing } from "../../../../src/adapters/otel/start-tracing.js";

const PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED = PARENT.replace(/01$/, "00");

type Sent = {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly unknown[] };
    readonly scopeSpans: readonly { readonly spans: readonly Record<string, unknown>[] }[];
  }[];
};

let collector: Server | undefined;
let tracing: Tracing | undefined;
afterEach(async () => {
  await tracing?.close();
  collector?.close();
  collector?.closeAllConnections();
  trace.disable();
  propagation.disable();
});

/** A collector that keeps what it was sent. */
async function aCollector() {
  const sent: { path: string; type: string; body: Sent }[] = [];
  collector = createServer((request, response) => {
    let text = "";
    request.setEncoding("utf8").on("data", (part: string) => (text += part));
    request.on("end", () => {
      const type = String(request.headers["content-type"]);
      sent.push({ path: String(request.url), type, body: JSON.parse(text) as Sent });
      response.writeHead(200, { "content-type": "application/json" }).end("{}");
    });
  });
  const server = collector;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { sent, endpoint: `http://127.0.0.1:${port}` };
}

const under = (traceparent: string) => propagation.extract(ROOT_CONTEXT, { traceparent });

test("a span under a caller's reaches the collector with its parent and the service's name", async () => {
  const { sent, endpoint } = await aCollector();
  tracing = startTracing({ serviceName: "weir-extproc", endpoint, sampleRatio: 0 });
  tracing.tracer.startSpan("weir.decide", { attributes: { model: "m" } }, under(PARENT)).end();
  await tracing.close();
  expect(sent).toHaveLength(1);
  expect(sent[0]).toMatchObject({ path: "/v1/traces", type: "application/json" });
  const [resourceSpans] = sent[0]!.body.resourceSpans;
  expect(resourceSpans?.resource.attributes).toContainEqual({
    key: "service.name",
    value: { stringValue: "weir-extproc" },
  });
  expect(resourceSpans?.scopeSpans[0]?.spans).toMatchObject([
    {
      name: "weir.decide",
      traceId: "0af7651916cd43dd8448eb211c80319c",
      parentSpanId: "b7ad6b7169203331",
    },
  ]);
});

test.each([
  { name: "a caller that does not sample is obeyed", parent: UNSAMPLED, sampleRatio: 1, spans: 0 },
  {
    name: "a trace that begins here is kept by the ratio",
    parent: undefined,
    sampleRatio: 1,
    spans: 1,
  },
  { name: "or left by it", parent: undefined, sampleRatio: 0, spans: 0 },
])("$name", async ({ parent, sampleRatio, spans }) => {
  const { sent, endpoint } = await aCollector();
  tracing = startTracing({ serviceName: "weir", endpoint: `${endpoint}/`, sampleRatio });
  const context = parent === undefined ? ROOT_CONTEXT : under(parent);
  tracing.tracer.startSpan("weir.decide", {}, context).end();
  await tracing.close();
  expect(sent).toHaveLength(spans);
});

test("without an endpoint spans record nothing and contexts are not parsed", async () => {
  tracing = startTracing({ serviceName: "weir", endpoint: undefined, sampleRatio: 1 });
  expect(tracing.tracer.startSpan("weir.decide").isRecording()).toBe(false);
  expect(trace.getSpanContext(under(PARENT))).toBeUndefined();
  await tracing.close();
});

test("close returns, without an error, when the collector is away", async () => {
  const { endpoint } = await aCollector();
  collector?.close();
  tracing = startTracing({ serviceName: "weir", endpoint, sampleRatio: 1 });
  tracing.tracer.startSpan("weir.decide").end();
  await tracing.close();
});

test.each(["collector:4318", "127.0.0.1", "ftp://host", ""])(
  "the endpoint %j is refused",
  (endpoint) => {
    expect(() => startTracing({ serviceName: "weir", endpoint, sampleRatio: 1 })).toThrow(
      "must be the URL of an OTLP/HTTP collector, such as http://127.0.0.1:4318",
    );
  },
);
