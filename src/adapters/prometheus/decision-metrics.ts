import { Counter, type Registry } from "prom-client";
import type { DecisionMetrics } from "../../app/ports.js";
import type { Decision } from "../../core/routing/decision.js";
import { talliedCounter } from "./tallied-counter.js";
import { talliedHistogram } from "./tallied-histogram.js";

/** A decision takes tens of microseconds; a bucket of 5 ms would hide every mistake. */
const DECISION_BUCKETS = [25e-6, 50e-6, 1e-4, 25e-5, 5e-4, 1e-3, 25e-4, 5e-3, 1e-2, 25e-3, 0.1];

/** The label of an arm that is none; no arm can have this name. */
const NO_ARM = "-";

export function prometheusDecisionMetrics(registry: Registry): DecisionMetrics {
  const count = countersOf(registry);
  const observeSeconds = talliedHistogram(
    registry,
    "weir_decision_seconds",
    "Time to decide one request, limits included.",
    DECISION_BUCKETS,
  );
  return {
    decided: (decision, seconds) => {
      observeSeconds(seconds);
      const { model, version, versionReason } = decision;
      count.requests(model, outcomeOf(decision));
      count.versions(model, version, versionReason ?? "default");
      for (const { experiment, arm, reason } of decision.arms) {
        count.arms(experiment, arm ?? NO_ARM, reason);
      }
      for (const { limit, kind } of decision.limits) count.verdicts(limit, kind);
      if (decision.shadow !== null) count.shadows(decision.shadow.name);
      if (decision.expressionErrors > 0) count.expressionErrors.inc(decision.expressionErrors);
      if (decision.override !== "none") count.overrides(decision.override);
    },
    shed: (model, action) => {
      count.requests(model, "shed");
      count.shed(model, action);
    },
    passedThrough: () => {
      count.passedThrough();
    },
    failed: () => {
      count.failed();
    },
  };
}

function outcomeOf({ refused, admitted }: Decision): "refused" | "limited" | "admitted" {
  if (refused !== null) return "refused";
  return admitted ? "admitted" : "limited";
}

function countersOf(registry: Registry) {
  const tallied = (name: string, help: string, ...labelNames: readonly string[]) =>
    talliedCounter(registry, name, help, ...labelNames);
  return {
    requests: tallied(
      "weir_requests_total",
      "Requests for a model, by outcome: admitted, limited, refused by residency, or shed.",
      "model",
      "outcome",
    ),
    versions: tallied(
      "weir_version_decisions_total",
      "Versions decided, and why: the default, an arm, or what moved the request elsewhere.",
      "model",
      "version",
      "reason",
    ),
    arms: tallied(
      "weir_arm_decisions_total",
      "Arms decided, and why; the arm - is none.",
      "experiment",
      "arm",
      "reason",
    ),
    verdicts: tallied(
      "weir_limit_verdicts_total",
      "Verdicts of limits; wouldLimit is an observed limit that did not refuse.",
      "limit",
      "kind",
    ),
    shadows: tallied("weir_shadows_total", "Requests of which a shadow copy was asked.", "shadow"),
    overrides: tallied(
      "weir_overrides_total",
      "Requests that brought an override: trusted, or why it was refused.",
      "result",
    ),
    expressionErrors: new Counter({
      name: "weir_expression_errors_total",
      help: "CEL expressions that failed, as on an absent header; each counted as no.",
      registers: [registry],
    }),
    shed: tallied(
      "weir_shed_total",
      "Requests that overload sent to the default version, or refused.",
      "model",
      "action",
    ),
    passedThrough: tallied("weir_passed_through_total", "Requests that are for no model."),
    failed: tallied(
      "weir_internal_errors_total",
      "Decisions that failed by a bug; the default version was served.",
    ),
  };
}
