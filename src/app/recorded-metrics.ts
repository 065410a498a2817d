import type { ServingStatistics } from "../core/serving/statistics.js";
import type { ServingMetrics } from "./model-ports.js";

/** Metrics that are kept as statistics too, so that both say the same. */
export function recordedMetrics(
  statistics: ServingStatistics,
  metrics: ServingMetrics,
): ServingMetrics {
  return {
    ...metrics,
    answered: (request) => {
      statistics.answered(request);
      metrics.answered(request);
    },
    ran: (version, items, seconds) => {
      statistics.ran(version, items, seconds);
      metrics.ran(version, items, seconds);
    },
    queued: (version, items) => {
      statistics.queued(version, items);
      metrics.queued(version, items);
    },
  };
}
