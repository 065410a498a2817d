import { request } from "node:http";
import type { HealthCheck, ModelVersion } from "../../schema/model.js";

export type CheckResult = {
  readonly passed: boolean;
  /** `status 503`, `no answer in 500 ms`, `ECONNREFUSED`. */
  readonly because: string;
};

/** Asks one version once; never rejects. A connection of its own, so that connecting is checked too. */
export function checkVersion(
  { host, port }: ModelVersion["address"],
  { path, timeout: timeoutMs }: HealthCheck,
): { readonly result: Promise<CheckResult>; readonly cancel: () => void } {
  const asked = request({
    host,
    port,
    path,
    agent: false,
    headers: { "user-agent": "weir-health-check" },
  });
  const timer = setTimeout(() => {
    asked.destroy(new Error(`no answer in ${timeoutMs} ms`));
  }, timeoutMs);
  const result = new Promise<CheckResult>((resolve) => {
    asked.once("response", ({ statusCode }) => {
      resolve({ passed: statusCode === 200, because: `status ${String(statusCode)}` });
      // The status is the answer; a body that never ends must not hold the connection.
      asked.destroy();
    });
    asked.on("error", (error) => {
      resolve({ passed: false, because: "code" in error ? String(error.code) : error.message });
    });
    asked.once("close", () => {
      clearTimeout(timer);
    });
  });
  asked.end();
  return { result, cancel: () => void asked.destroy(new Error("cancelled")) };
}
