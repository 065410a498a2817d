import { Registry } from "prom-client";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { prometheusDecisionMetrics } from "../../../../src/adapters/prometheus/decision-metrics.js";
import { prometheusEventLogMetrics } from "../../../../src/adapters/prometheus/event-log-metrics.js";
import { prometheusExtProcMetrics } from "../../../../src/adapters/prometheus/ext-proc-metrics.js";
import { exposeOverload } from "../../../../src/adapters/prometheus/overload-metrics.js";
import { prometheusPolicyMetrics } from "../../../../src/adapters/prometheus/policy-metrics.js";
import { exposeProcess } from "../../../../src/adapters/prometheus/process-metrics.js";
import { prometheusServingMetrics } from "../../../../src/adapters/prometheus/serving-metrics.js";
import { exposeTritonMetrics } from "../../../../src/adapters/prometheus/triton-metrics.js";
import { exposeVersionHealth } from "../../../../src/adapters/prometheus/version-health-metrics.js";
import type { ServingMetrics } from "../../../../src/app/model-ports.js";
import type { Decision } from "../../../../src/core/routing/decision.js";
import { ServingStatistics } from "../../../../src/core/serving/statistics.js";
import type { ExtProcMetrics } from "../../../../src/servers/ext-proc/metrics.js";

let registry: Registry;
beforeEach(() => {
  registry = new Registry();
});

/** The sample lines of a scrape, without comments. */
async function samples(prefix = "weir_"): Promise<string[]> {
  const text = await registry.metrics();
  return text.split("\n").filter((line) => line.startsWith(prefix));
}

const aDecision = (changes: Partial<Decision> = {}): Decision => ({
  model: "magika",
  version: "v3",
  versionReason: "assigned",
  arms: [{ experiment: "x", phase: 1, arm: "treatment", bucket: 5, reason: "assigned" }],
  override: "none",
  shadow: null,
  seed: null,
  limits: [],
  expressionErrors: 0,
  admitted: true,
  refused: null,
  policy: "p1",
  ...changes,
});

test("overload is a gauge of now", async () => {
  let isShedding = false;
  exposeOverload(registry, () => isShedding);
  expect(await samples()).toEqual(["weir_shedding 0"]);
  isShedding = true;
  expect(await samples()).toEqual(["weir_shedding 1"]);
});

describe("decisions", () => {
  test("that were shed are counted by what became of them", async () => {
    const metrics = prometheusDecisionMetrics(registry);
    metrics.shed("magika", "default");
    metrics.shed("magika", "default");
    metrics.shed("magika", "reject");
    expect(await samples("weir_shed_total")).toEqual([
      'weir_shed_total{model="magika",action="default"} 2',
      'weir_shed_total{model="magika",action="reject"} 1',
    ]);
    expect(await samples("weir_requests_total")).toEqual([
      'weir_requests_total{model="magika",outcome="shed"} 3',
    ]);
  });

  test("are counted by arm, version, limit and shadow", async () => {
    const metrics = prometheusDecisionMetrics(registry);
    const verdict = { cost: 1, remaining: 0, resetAfterMs: 0, retryAfterMs: 0 };
    metrics.decided(
      aDecision({
        arms: [
          { experiment: "x", phase: 1, arm: "treatment", bucket: 5, reason: "assigned" },
          { experiment: "y", phase: 1, arm: null, bucket: null, reason: "noUnit" },
        ],
        shadow: { name: "v3-shadow", version: "v3", cluster: "c" },
        override: "trusted",
        limits: [
          { limit: "per-tenant", kind: "admitted", ...verdict },
          { limit: "global", kind: "wouldLimit", ...verdict },
        ],
      }),
      0.00004,
    );
    metrics.passedThrough();
    metrics.failed();
    const counters = (await samples()).filter((line) => !line.startsWith("weir_decision_seconds"));
    expect(counters.sort()).toEqual([
      'weir_arm_decisions_total{experiment="x",arm="treatment",reason="assigned"} 1',
      'weir_arm_decisions_total{experiment="y",arm="-",reason="noUnit"} 1',
      "weir_expression_errors_total 0",
      "weir_internal_errors_total 1",
      'weir_limit_verdicts_total{limit="global",kind="wouldLimit"} 1',
      'weir_limit_verdicts_total{limit="per-tenant",kind="admitted"} 1',
      'weir_overrides_total{result="trusted"} 1',
      "weir_passed_through_total 1",
      'weir_requests_total{model="magika",outcome="admitted"} 1',
      'weir_shadows_total{shadow="v3-shadow"} 1',
      'weir_version_decisions_total{model="magika",version="v3",reason="assigned"} 1',
    ]);
  });

  test.each([
    { outcome: "admitted", changes: {} },
    { outcome: "limited", changes: { admitted: false } },
    { outcome: "refused", changes: { admitted: false, refused: "residency" as const } },
  ])("have the outcome $outcome", async ({ outcome, changes }) => {
    prometheusDecisionMetrics(registry).decided(aDecision(changes), 0);
    expect(await samples("weir_requests_total")).toEqual([
      `weir_requests_total{model="magika",outcome="${outcome}"} 1`,
    ]);
  });

  test("no unit, decision id or path becomes a label", async () => {
    const labels = new Set<string>();
    prometheusDecisionMetrics(registry).decided(aDecision(), 0);
    for (const line of await samples()) {
      for (const [, label] of line.matchAll(/[{,](\w+)=/g)) labels.add(String(label));
    }
    expect([...labels].sort()).toEqual(
      ["arm", "experiment", "le", "model", "outcome", "reason", "version"].sort(),
    );
  });

  test("are timed in buckets under a millisecond", async () => {
    prometheusDecisionMetrics(registry).decided(aDecision(), 0.00004);
    const seconds = await samples("weir_decision_seconds");
    expect(seconds).toContain('weir_decision_seconds_bucket{le="0.000025"} 0');
    expect(seconds).toContain('weir_decision_seconds_bucket{le="0.00005"} 1');
    expect(seconds).toContain("weir_decision_seconds_count 1");
  });
});

test("the external processor's streams and messages are counted", async () => {
  const metrics: ExtProcMetrics = prometheusExtProcMetrics(registry);
  metrics.streamOpened();
  metrics.streamOpened();
  metrics.streamClosed();
  metrics.received("requestHeaders");
  metrics.spurious();
  metrics.answered(0.0002);
  metrics.failed();
  metrics.headerDropped("x-weir-arms");
  expect(await samples()).toEqual(
    expect.arrayContaining([
      "weir_ext_proc_streams_open 1",
      "weir_ext_proc_streams_total 2",
      'weir_ext_proc_messages_total{kind="requestHeaders"} 1',
      "weir_ext_proc_spurious_messages_total 1",
      "weir_ext_proc_answer_seconds_count 1",
      "weir_ext_proc_internal_errors_total 1",
      'weir_ext_proc_dropped_headers_total{header="x-weir-arms"} 1',
    ]),
  );
});

test("a pod's answers, waits and batches are counted per version", async () => {
  const metrics: ServingMetrics = prometheusServingMetrics(registry);
  const version = { model: "m", version: "v1" };
  metrics.answered({ ...version, status: 200, seconds: 0.01, items: 8, atMs: 0 });
  metrics.waited(version, 0.002);
  metrics.ran(version, 8, 0.005);
  metrics.queued(version, 3);
  expect(await samples()).toEqual(
    expect.arrayContaining([
      'weir_predictions_total{model="m",version="v1",status="200"} 1',
      'weir_prediction_seconds_sum{model="m",version="v1"} 0.01',
      'weir_queue_wait_seconds_sum{model="m",version="v1"} 0.002',
      'weir_batch_seconds_sum{model="m",version="v1"} 0.005',
      'weir_batch_size_bucket{le="4",model="m",version="v1"} 0',
      'weir_batch_size_bucket{le="8",model="m",version="v1"} 1',
      'weir_queued{model="m",version="v1"} 3',
    ]),
  );
});

test("the same is there under Triton's names, with the time of each stage", async () => {
  const statistics = new ServingStatistics();
  const version = { model: "m", version: "v1" };
  exposeTritonMetrics(registry, statistics, () => [version]);
  const seconds = { inputSeconds: 1e-3, queueSeconds: 2e-3, inferSeconds: 4e-3, outputSeconds: 0 };
  const answered = (cache: "hit" | "miss", inferSeconds: number) => {
    const stages = { ...seconds, inferSeconds, cache };
    statistics.answered({ ...version, status: 200, seconds: 0.008, items: 3, atMs: 5, stages });
  };
  answered("miss", 4e-3);
  answered("hit", 0);
  statistics.answered({ ...version, status: 503, seconds: 0.001, items: 1, atMs: 6 });
  statistics.ran(version, 3, 0.004);
  statistics.queued(version, 2);
  const labels = '{model="m",version="v1"}';
  expect(await samples("nv_")).toEqual([
    `nv_inference_request_success${labels} 2`,
    `nv_inference_count${labels} 3`,
    `nv_cache_num_hits_per_model${labels} 1`,
    `nv_cache_num_misses_per_model${labels} 1`,
    `nv_inference_exec_count${labels} 1`,
    `nv_inference_request_duration_us${labels} 16000`,
    `nv_inference_queue_duration_us${labels} 4000`,
    `nv_inference_compute_input_duration_us${labels} 1000`,
    `nv_inference_compute_infer_duration_us${labels} 4000`,
    `nv_inference_compute_output_duration_us${labels} 0`,
    ...[
      ["REJECTED", 1],
      ["CANCELED", 0],
      ["BACKEND", 0],
      ["OTHER", 0],
    ].map(
      ([reason, count]) =>
        `nv_inference_request_failure{model="m",version="v1",reason="${String(reason)}"} ${String(count)}`,
    ),
    `nv_inference_pending_request_count${labels} 2`,
  ]);
});

test("an event log's series are there before its first line, then count lines and bytes", async () => {
  const assignments = prometheusEventLogMetrics(registry)("assignments");
  expect(await samples()).toContain('weir_event_log_dropped_lines_total{log="assignments"} 0');
  assignments.onWritten(10, 2000);
  assignments.onDrop(3);
  assignments.onError();
  expect(await samples()).toEqual([
    'weir_event_log_lines_total{log="assignments"} 10',
    'weir_event_log_bytes_total{log="assignments"} 2000',
    'weir_event_log_dropped_lines_total{log="assignments"} 3',
    'weir_event_log_errors_total{log="assignments"} 1',
  ]);
});

test("only the policy in force has the version label, and a refused file shows until it is mended", async () => {
  const metrics = prometheusPolicyMetrics(registry);
  metrics.applied("p1");
  metrics.refused();
  expect(await samples()).toEqual([
    'weir_policy_info{version="p1"} 1',
    "weir_policy_file_refused 1",
    'weir_policy_loads_total{result="applied"} 1',
    'weir_policy_loads_total{result="refused"} 1',
  ]);
  metrics.applied("p2");
  expect(await samples("weir_policy_info")).toEqual(['weir_policy_info{version="p2"} 1']);
  expect(await samples("weir_policy_file_refused")).toEqual(["weir_policy_file_refused 0"]);
});

test("a scrape shows the versions that are unhealthy then", async () => {
  let unhealthy = new Set(["magika/v3"]);
  exposeVersionHealth(registry, { unhealthy: () => unhealthy });
  expect(await samples()).toEqual(['weir_version_unhealthy{model="magika",version="v3"} 1']);
  unhealthy = new Set();
  expect(await samples()).toEqual([]);
});

test("the event loop's lag is measured", async () => {
  exposeProcess(registry);
  await vi.waitFor(async () => {
    const [lag] = await samples("nodejs_eventloop_lag_p99_seconds");
    expect(Number(lag?.split(" ")[1])).toBeGreaterThan(0);
  });
});

test("all metrics of a process live in one registry, with names and help that Prometheus takes", async () => {
  prometheusDecisionMetrics(registry);
  prometheusExtProcMetrics(registry);
  prometheusServingMetrics(registry);
  prometheusEventLogMetrics(registry);
  prometheusPolicyMetrics(registry);
  exposeVersionHealth(registry, { unhealthy: () => new Set() });
  for (const { name, help, type } of await registry.getMetricsAsJSON()) {
    expect(name).toMatch(/^weir_[a-z_]+$/);
    expect(help).toMatch(/^[A-Z0-9].*\.$/);
    if (String(type) === "counter") expect(name).toMatch(/_total$/);
  }
});
