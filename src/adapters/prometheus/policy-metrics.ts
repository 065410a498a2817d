import { Counter, Gauge, type Registry } from "prom-client";

/** Which policy is in force, and how loading its file went. */
export function prometheusPolicyMetrics(registry: Registry) {
  const inForce = new Gauge({
    name: "weir_policy_info",
    help: "1 for the version of the policy in force.",
    labelNames: ["version"],
    registers: [registry],
  });
  const isRefused = new Gauge({
    name: "weir_policy_file_refused",
    help: "1 while the file is not the policy in force, because it has mistakes.",
    registers: [registry],
  });
  const loads = new Counter({
    name: "weir_policy_loads_total",
    help: "Loads of the policy file; a refused one leaves the old policy in force.",
    labelNames: ["result"],
    registers: [registry],
  });
  for (const result of ["applied", "refused"]) loads.inc({ result }, 0);
  return {
    applied: (version: string) => {
      inForce.reset();
      inForce.set({ version }, 1);
      isRefused.set(0);
      loads.inc({ result: "applied" });
    },
    refused: () => {
      isRefused.set(1);
      loads.inc({ result: "refused" });
    },
  };
}
