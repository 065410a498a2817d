import { Gauge, type Registry } from "prom-client";
import type { ServingMetrics } from "../../app/model-ports.js";
import { SeriesByLabels } from "./series-by-labels.js";
import { talliedCounter } from "./tallied-counter.js";
import { talliedHistogram } from "./tallied-histogram.js";

/** From a small model on a CPU to a slow one under load. */
const SECONDS_BUCKETS = [5e-4, 1e-3, 25e-4, 5e-3, 1e-2, 25e-3, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 10];
const BATCH_BUCKETS = [1, 2, 4, 8, 16, 32, 64, 128, 256];
const LABELS = ["model", "version"] as const;

/** What an inference pod does: answers, waits, batches. */
export function prometheusServingMetrics(registry: Registry): ServingMetrics {
  const histogram = (name: string, help: string, buckets = SECONDS_BUCKETS) =>
    talliedHistogram(registry, name, help, buckets, ...LABELS);
  const answers = talliedCounter(
    registry,
    "weir_predictions_total",
    "Answers, by the HTTP status they have or would have.",
    ...[...LABELS, "status"],
  );
  const answerSeconds = histogram("weir_prediction_seconds", "Whole request to whole answer.");
  const waitSeconds = histogram("weir_queue_wait_seconds", "Time in the queue before dispatch.");
  const runSeconds = histogram("weir_batch_seconds", "Time that one batch ran.");
  const runItems = histogram("weir_batch_size", "Items in one batch.", BATCH_BUCKETS);
  const queues = new SeriesByLabels(LABELS, () => ({ items: 0 }));
  new Gauge({
    name: "weir_queued",
    help: "Items in the queue now.",
    labelNames: LABELS,
    registers: [registry],
    collect() {
      for (const { labels, value } of queues.all) this.set(labels, value.items);
    },
  });
  return {
    answered: ({ model, version, status, seconds }) => {
      answers(model, version, String(status));
      answerSeconds(seconds, model, version);
    },
    waited: ({ model, version }, seconds) => {
      waitSeconds(seconds, model, version);
    },
    ran: ({ model, version }, items, seconds) => {
      runItems(items, model, version);
      runSeconds(seconds, model, version);
    },
    queued: ({ model, version }, items) => {
      queues.of(model, version).items = items;
    },
  };
}
