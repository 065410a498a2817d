import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/envoy-process.js";
import { NEWEST_ENVOY, OLDEST_ENVOY, openMesh, type Mesh } from "../support/mesh.js";
import { sendRequest } from "../support/send-request.js";
import { startSpanCollector, withTracing, type SpanCollector } from "../support/span-collector.js";
import { INFER, TRAFFIC_PODS, trafficPolicy, type TrafficPod } from "../support/traffic-policy.js";

const CLIENT_TRACE = "0af7651916cd43dd8448eb211c80319c";
const CLIENT_SPAN = "b7ad6b7169203331";

describe.each([OLDEST_ENVOY, NEWEST_ENVOY])("Envoy %s", (envoy) => {
  let collector: SpanCollector;
  let mesh: Mesh<TrafficPod>;
  beforeAll(async () => {
    collector = await startSpanCollector();
    mesh = await openMesh({
      ...{ envoy, pods: TRAFFIC_PODS, policy: trafficPolicy },
      extprocFlags: [
        ...["--drain-ms", "0", "--trace-sample-ratio", "1"],
        ...["--otlp-endpoint", `http://127.0.0.1:${collector.port}`],
      ],
      edit: (document) => withTracing(document, collector.port),
    });
  });
  afterAll(async () => {
    await mesh.close();
    await collector.close();
  });

  test("the decision's span is a child of Envoy's own span in the client's trace", async () => {
    const headers = { traceparent: `00-${CLIENT_TRACE}-${CLIENT_SPAN}-01`, "x-user-id": "u" };
    expect((await sendRequest(mesh.port, INFER, { headers })).status).toBe(200);
    // Spans are sent in batches; stopping sends the last one.
    await mesh.extprocs[0]!.stop();
    expect(collector.spans).toMatchObject([{ name: "weir.decide", traceId: CLIENT_TRACE }]);
    const { parentSpanId } = collector.spans[0]!;
    expect(parentSpanId).toMatch(/^[0-9a-f]{16}$/);
    expect(parentSpanId).not.toBe(CLIENT_SPAN);
    await eventually("Envoy's span of that id", () =>
      collector.hasEnvoySpan(parentSpanId!) ? true : undefined,
    );
  });
});
