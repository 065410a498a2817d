import type { Registry } from "prom-client";
import type { RateLimitMetrics } from "../../app/ports.js";
import { talliedCounter } from "./tallied-counter.js";
import { talliedHistogram } from "./tallied-histogram.js";

const ANSWER_BUCKETS = [25e-6, 50e-6, 1e-4, 25e-5, 5e-4, 1e-3, 25e-4, 5e-3, 1e-2, 25e-3, 0.1];

/** Labels with values of callers; what comes after them counts under one label. */
const MAX_LABELS = 1000;
const OTHER = "other values";

export function prometheusRateLimitMetrics(registry: Registry): RateLimitMetrics {
  const judged = talliedCounter(
    registry,
    "weir_rate_limit_descriptors_total",
    "Descriptors that Envoy's rate limit filter asked for, by the rule they matched and outcome.",
    ...["domain", "descriptor", "outcome"],
  );
  const refused = talliedCounter(
    registry,
    "weir_rate_limit_errors_total",
    "Requests of Envoy's rate limit filter that got an error.",
    "because",
  );
  const observeSeconds = talliedHistogram(
    registry,
    "weir_rate_limit_answer_seconds",
    "Time to answer one request of Envoy's rate limit filter.",
    ANSWER_BUCKETS,
  );
  const labels = new Set<string>();
  const bounded = (label: string) => {
    if (labels.size < MAX_LABELS) labels.add(label);
    return labels.has(label) ? label : OTHER;
  };
  return {
    judged: (domain, label, outcome, hasValues) => {
      judged(domain, hasValues ? bounded(label) : label, outcome);
    },
    answered: observeSeconds,
    refused: (because) => {
      refused(because);
    },
  };
}
