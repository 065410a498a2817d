import { defineConfig } from "vitest/config";

/** Suites that start real processes run one file at a time: two cores bear no more. */
export default defineConfig({
  test: {
    reporters: ["default", "./test/support/plain-line-reporter.ts"],
    coverage: { provider: "v8", include: ["src/core/**"], thresholds: { lines: 95 } },
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/unit/**/*.test.ts", "test/contract/**/*.test.ts"],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: "process",
          include: ["test/{process,models,envoy,load}/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 600_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: "peers",
          include: ["test/peers/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 600_000,
          sequence: { groupOrder: 3 },
        },
      },
      {
        test: {
          name: "istio",
          include: ["test/istio/**/*.test.ts"],
          globalSetup: ["test/support/istio/build-tools.ts"],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 600_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
