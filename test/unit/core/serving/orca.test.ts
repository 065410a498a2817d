import { expect, test } from "vitest";
import { loadReport } from "../../../../src/core/serving/orca.js";

const LOAD = {
  ...{ utilization: 0.5, queueWaitMs: 1.25, predictedWaitMs: 2.5, queuedItems: 3 },
  ...{ requestsPerSecond: 120.5, errorsPerSecond: 0 },
};

test.each([
  [
    "text",
    "TEXT rps_fractional=120.5, eps=0, application_utilization=0.5, named_metrics.queue_wait_ms=1.25, named_metrics.predicted_wait_ms=2.5, named_metrics.queued_items=3",
  ],
  [
    " JSON",
    'JSON {"rps_fractional":120.5,"eps":0,"application_utilization":0.5,"named_metrics":{"queue_wait_ms":1.25,"predicted_wait_ms":2.5,"queued_items":3}}',
  ],
])("%j is written as balancers read it", (format, value) => {
  expect(loadReport(format, LOAD)).toEqual({ kind: "text", value });
});

test.each([undefined, "", "yaml", "text,json"])("%j asks for no form of ours", (format) => {
  expect(loadReport(format, LOAD)).toBeUndefined();
});

test("the binary form is a protobuf message", () => {
  const report = loadReport("Bin", LOAD);
  expect(report?.kind === "binary" && Buffer.from(report.value).toString("hex")).toBe(
    [
      "310000000000205e40" + "390000000000000000",
      "42180a0d71756575655f776169745f6d7311000000000000f43f",
      "421c0a117072656469637465645f776169745f6d73110000000000000440",
      "42170a0c7175657565645f6974656d73110000000000000840",
      "49000000000000e03f",
    ].join(""),
  );
});
