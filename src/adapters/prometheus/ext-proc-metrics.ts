import { Counter, Gauge, Histogram, type Registry } from "prom-client";

const ANSWER_BUCKETS = [5e-5, 1e-4, 25e-5, 5e-4, 1e-3, 25e-4, 5e-3, 1e-2, 25e-3, 0.1];

/** What the external processor sees of Envoy: side streams, messages, answers. */
export function prometheusExtProcMetrics(registry: Registry) {
  const count = countersOf(registry);
  const open = new Gauge({
    name: "weir_ext_proc_streams_open",
    help: "Side streams open now.",
    registers: [registry],
  });
  const answerSeconds = new Histogram({
    name: "weir_ext_proc_answer_seconds",
    help: "From request headers to the bytes of their answer.",
    buckets: ANSWER_BUCKETS,
    registers: [registry],
  });
  return {
    streamOpened: () => {
      open.inc();
      count.opened.inc();
    },
    streamClosed: () => {
      open.dec();
    },
    received: (kind: string) => {
      count.messages.inc({ kind });
    },
    spurious: () => {
      count.spurious.inc();
    },
    answered: (seconds: number) => {
      answerSeconds.observe(seconds);
    },
    failed: () => {
      count.failed.inc();
    },
    headerDropped: (header: string) => {
      count.droppedHeaders.inc({ header });
    },
  };
}

function countersOf(registry: Registry) {
  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Counter<Label>({ name, help, labelNames, registers: [registry] });
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
