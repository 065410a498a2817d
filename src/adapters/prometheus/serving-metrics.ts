import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** From a small model on a CPU to a slow one under load. */
const SECONDS_BUCKETS = [5e-4, 1e-3, 25e-4, 5e-3, 1e-2, 25e-3, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 10];
const BATCH_BUCKETS = [1, 2, 4, 8, 16, 32, 64, 128, 256];
const VERSION_LABELS = ["model", "version"] as const;

type ServedVersion = { readonly model: string; readonly version: string };

/** What an inference pod does: answers, waits, batches. */
export function prometheusServingMetrics(registry: Registry) {
  const histogram = (name: string, help: string, buckets = SECONDS_BUCKETS) =>
    new Histogram({ name, help, buckets, labelNames: VERSION_LABELS, registers: [registry] });
  const answers = new Counter({
    name: "weir_predictions_total",
    help: "Answers, by the HTTP status they have or would have.",
    labelNames: [...VERSION_LABELS, "status"],
    registers: [registry],
  });
  const queued = new Gauge({
    name: "weir_queued",
    help: "Items in the queue now.",
    labelNames: VERSION_LABELS,
    registers: [registry],
  });
  const answerSeconds = histogram("weir_prediction_seconds", "Whole request to whole answer.");
  const waitSeconds = histogram("weir_queue_wait_seconds", "Time in the queue before dispatch.");
  const runSeconds = histogram("weir_batch_seconds", "Time that one batch ran.");
  const runItems = histogram("weir_batch_size", "Items in one batch.", BATCH_BUCKETS);
  return {
    answered: (request: ServedVersion & { readonly status: number; readonly seconds: number }) => {
      const { model, version, status, seconds } = request;
      answers.inc({ model, version, status });
      answerSeconds.observe({ model, version }, seconds);
    },
    waited: ({ model, version }: ServedVersion, seconds: number) => {
      waitSeconds.observe({ model, version }, seconds);
    },
    ran: ({ model, version }: ServedVersion, items: number, seconds: number) => {
      runItems.observe({ model, version }, items);
      runSeconds.observe({ model, version }, seconds);
    },
    queued: ({ model, version }: ServedVersion, items: number) => {
      queued.set({ model, version }, items);
    },
  };
}
