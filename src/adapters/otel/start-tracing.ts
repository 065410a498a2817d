import { trace, type Tracer } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  BatchSpanProcessor,
  NodeTracerProvider,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
} from "@opentelemetry/sdk-trace-node";
import { ServiceError } from "../../core/error.js";

export type TracingOptions = {
  readonly serviceName: string;
  /** Base URL of an OTLP/HTTP collector, such as http://otel-collector:4318; undefined: no tracing. */
  readonly endpoint: string | undefined;
  /** Share of traces that begin here to keep, 0 to 1; a caller's sampling decision is obeyed. */
  readonly sampleRatio: number;
};

export type Tracing = {
  readonly tracer: Tracer;
  /** Sends what is buffered; gives up when the collector does not answer. Never rejects. */
  close(): Promise<void>;
};

/** Bounds close() when the collector is away. */
const EXPORT_TIMEOUT_MS = 3000;

/**
 * Traces are sent in batches, in the background. Registers the W3C propagator for the process:
 * until then, and without an endpoint, contexts are not even parsed.
 */
export function startTracing(options: TracingOptions): Tracing {
  const { serviceName, endpoint, sampleRatio } = options;
  if (endpoint === undefined) {
    return { tracer: trace.getTracer("weir"), close: () => Promise.resolve() };
  }
  const exporter = new OTLPTraceExporter({
    url: tracesUrl(endpoint),
    timeoutMillis: EXPORT_TIMEOUT_MS,
  });
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({ "service.name": serviceName }),
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(sampleRatio) }),
    spanProcessors: [new BatchSpanProcessor(exporter)],
  });
  // No context manager: parents are passed as arguments, and following every promise costs.
  provider.register({ contextManager: null });
  return {
    tracer: provider.getTracer("weir"),
    close: () => provider.shutdown().catch(() => undefined),
  };
}

function tracesUrl(endpoint: string): string {
  const base = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (base?.protocol !== "http:" && base?.protocol !== "https:") {
    throw new ServiceError(
      "badRequest",
      `tracing endpoint ${JSON.stringify(endpoint)} must be the URL of an OTLP/HTTP collector, such as http://127.0.0.1:4318`,
    );
  }
  return `${base.href.replace(/\/$/, "")}/v1/traces`;
}
