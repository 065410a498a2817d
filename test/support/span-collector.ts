import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import type { Plain, RenderedDocument } from "../../src/core/render/rendered-document.js";

/** What is tested of a span in OTLP's JSON form. */
export type CollectedSpan = {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
};

/** An OTLP/HTTP collector: `weir` sends it JSON, and Envoy protobuf. */
export type SpanCollector = {
  readonly port: number;
  readonly spans: readonly CollectedSpan[];
  /** Whether Envoy exported a span of this id. */
  hasEnvoySpan(spanId: string): boolean;
  close(): Promise<void>;
};

type ExportRequest = {
  readonly resourceSpans: readonly {
    readonly scopeSpans: readonly { readonly spans: readonly CollectedSpan[] }[];
  }[];
};

export async function startSpanCollector(): Promise<SpanCollector> {
  const spans: CollectedSpan[] = [];
  const exports: Buffer[] = [];
  const server = createServer((request, response) => {
    void buffer(request).then((body) => {
      if (request.headers["content-type"] === "application/json") {
        const { resourceSpans } = JSON.parse(body.toString()) as ExportRequest;
        spans.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(spansOf)));
      } else {
        exports.push(body);
      }
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    spans,
    hasEnvoySpan: (spanId) => {
      // Span.span_id is field 2 of 8 bytes (opentelemetry/proto/trace/v1/trace.proto).
      const field = Buffer.concat([Buffer.from([0x12, 8]), Buffer.from(spanId, "hex")]);
      return exports.some((body) => body.includes(field));
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

const spansOf = (scope: { readonly spans: readonly CollectedSpan[] }) => scope.spans;

type Bootstrap = {
  layered_runtime?: { layers: Plain[] };
  readonly static_resources: {
    readonly clusters: Plain[];
    readonly listeners: readonly {
      readonly filter_chains: readonly {
        readonly filters: readonly { readonly typed_config: { tracing?: Plain } }[];
      }[];
    }[];
  };
};

/** An Envoy that traces every request, as a mesh does. */
export function withTracing(document: RenderedDocument, collectorPort: number): RenderedDocument {
  const root = structuredClone(document.root) as unknown as Bootstrap;
  const cluster = "span-collector";
  root.layered_runtime ??= { layers: [] };
  root.layered_runtime.layers.push({
    name: "spans-at-once",
    static_layer: { "tracing.opentelemetry.min_flush_spans": 1 },
  });
  root.static_resources.clusters.push({
    name: cluster,
    type: "STATIC",
    load_assignment: {
      cluster_name: cluster,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: loopback(collectorPort) } }] }],
    },
  });
  root.static_resources.listeners[0]!.filter_chains[0]!.filters[0]!.typed_config.tracing = {
    random_sampling: { value: 100 },
    provider: {
      name: "envoy.tracers.opentelemetry",
      typed_config: {
        "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
        service_name: "envoy",
        http_service: {
          http_uri: { uri: "http://collector/v1/traces", cluster, timeout: "5s" },
        },
      },
    },
  };
  return { ...document, root, comments: [] };
}

const loopback = (port: number): Plain => ({
  socket_address: { address: "127.0.0.1", port_value: port },
});
