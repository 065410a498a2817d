import { Gauge, type Registry } from "prom-client";
import { talliedCounter } from "./tallied-counter.js";
import { talliedHistogram } from "./tallied-histogram.js";

const ANSWER_BUCKETS = [5e-5, 1e-4, 25e-5, 5e-4, 1e-3, 25e-4, 5e-3, 1e-2, 25e-3, 0.1];

/** What the external processor sees of Envoy: side streams, messages, answers. */
export function prometheusExtProcMetrics(registry: Registry) {
  const count = countersOf(registry);
  let opened = 0;
  let closed = 0;
  new Gauge({
    name: "weir_ext_proc_streams_open",
    help: "Side streams open now.",
    registers: [registry],
    collect() {
      this.set(opened - closed);
    },
  });
  const observeAnswer = talliedHistogram(
    registry,
    "weir_ext_proc_answer_seconds",
    "From request headers to their answer, ready to be written.",
    ANSWER_BUCKETS,
  );
  return {
    streamOpened: () => {
      opened += 1;
      count.opened();
    },
    streamClosed: () => {
      closed += 1;
    },
    received: (kind: string) => {
      count.messages(kind);
    },
    spurious: () => {
      count.spurious();
    },
    answered: (seconds: number) => {
      observeAnswer(seconds);
    },
    failed: () => {
      count.failed();
    },
    headerDropped: (header: string) => {
      count.droppedHeaders(header);
    },
  };
}

function countersOf(registry: Registry) {
  const counter = (name: string, help: string, ...labelNames: readonly string[]) =>
    talliedCounter(registry, name, help, ...labelNames);
  return {
    opened: counter("weir_ext_proc_streams_total", "Side streams that Envoy opened."),
    messages: counter(
      "weir_ext_proc_messages_total",
      "Messages from Envoy, by kind; unknown is a kind newer than our protos.",
      "kind",
    ),
    spurious: counter(
      "weir_ext_proc_spurious_messages_total",
      "Messages that the protocol does not expect there.",
    ),
    failed: counter(
      "weir_ext_proc_internal_errors_total",
      "Streams that a bug of ours answered with the safe default. Alert on any.",
    ),
    droppedHeaders: counter(
      "weir_ext_proc_dropped_headers_total",
      "Headers of ours that were left out because Envoy would have refused them.",
      "header",
    ),
  };
}
