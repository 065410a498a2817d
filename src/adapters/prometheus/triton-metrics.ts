import { Counter, Gauge, type Registry } from "prom-client";
import type {
  FailureReason,
  ServingStatistics,
  VersionCounts,
  VersionName,
} from "../../core/serving/statistics.js";

const LABELS = ["model", "version"] as const;
const microseconds = ({ ns }: { readonly ns: number }) => ns / 1000;

/** By name: help, and the value of one version. */
const COUNTERS: Readonly<Record<string, readonly [string, (counts: VersionCounts) => number]>> = {
  nv_inference_request_success: ["Answers with outputs.", ({ stages }) => stages.success.count],
  nv_inference_count: ["Items that were answered.", ({ items }) => items],
  nv_cache_num_hits_per_model: [
    "Answers that were in the response cache.",
    ({ stages }) => stages.cache_hit.count,
  ],
  nv_cache_num_misses_per_model: [
    "Answers that were not in the response cache of their model.",
    ({ stages }) => stages.cache_miss.count,
  ],
  nv_inference_exec_count: ["Runs of the model.", ({ runs }) => runs],
  nv_inference_request_duration_us: [
    "Whole request to whole answer, cumulative.",
    ({ stages }) => microseconds(stages.success),
  ],
  nv_inference_queue_duration_us: [
    "Time in the queue, cumulative.",
    ({ stages }) => microseconds(stages.queue),
  ],
  nv_inference_compute_input_duration_us: [
    "Reading inputs, cumulative.",
    ({ stages }) => microseconds(stages.compute_input),
  ],
  nv_inference_compute_infer_duration_us: [
    "Running the model, cumulative over requests.",
    ({ stages }) => microseconds(stages.compute_infer),
  ],
  nv_inference_compute_output_duration_us: [
    "Writing outputs, cumulative.",
    ({ stages }) => microseconds(stages.compute_output),
  ],
};

/** Triton's names for what our metrics say too, so that its dashboards and scalers work. */
export function exposeTritonMetrics(
  registry: Registry,
  statistics: ServingStatistics,
  versions: () => readonly VersionName[],
): void {
  const registers = [registry];
  const each = (visit: (labels: VersionName, counts: VersionCounts) => void) => {
    for (const { model, version } of versions()) {
      visit({ model, version }, statistics.countsOf({ model, version }));
    }
  };
  for (const [name, [help, valueOf]] of Object.entries(COUNTERS)) {
    new Counter({
      ...{ name, help, labelNames: LABELS, registers },
      collect() {
        this.reset();
        each((labels, counts) => {
          this.inc({ ...labels }, valueOf(counts));
        });
      },
    });
  }
  new Counter({
    name: "nv_inference_request_failure",
    help: "Answers without outputs, by reason.",
    labelNames: [...LABELS, "reason"],
    registers,
    collect() {
      this.reset();
      each((labels, { failures }) => {
        for (const reason of Object.keys(failures) as FailureReason[]) {
          this.inc({ ...labels, reason }, failures[reason]);
        }
      });
    },
  });
  new Gauge({
    name: "nv_inference_pending_request_count",
    help: "Items in the queue now.",
    labelNames: LABELS,
    registers,
    collect() {
      this.reset();
      each((labels, { queued }) => {
        this.set({ ...labels }, queued);
      });
    },
  });
}
