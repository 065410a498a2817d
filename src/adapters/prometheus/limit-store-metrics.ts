import { Counter, Gauge, Histogram, type Registry } from "prom-client";

const ROUND_TRIP_BUCKETS = [5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1];

/** How replicas share their quotas; nothing of it is on the request path. */
export function prometheusLimitStoreMetrics(registry: Registry, replicas: () => number) {
  const count = countersOf(registry);
  const up = new Gauge({
    name: "weir_limit_store_up",
    help: "1 while the shared store answers; at 0 onStoreFailure of each limit decides.",
    registers: [registry],
  });
  new Gauge({
    name: "weir_limit_store_replicas",
    help: "Replicas that share quotas, as far as known here.",
    registers: [registry],
    collect() {
      this.set(replicas());
    },
  });
  const roundTrip = new Histogram({
    name: "weir_limit_store_round_trip_seconds",
    help: "From a report to its answer.",
    buckets: ROUND_TRIP_BUCKETS,
    registers: [registry],
  });
  return {
    changed: (isUp: boolean) => {
      up.set(isUp ? 1 : 0);
    },
    renewed: (granted: number, debt: number, seconds: number) => {
      count.renewals.inc();
      count.granted.inc(granted);
      count.debt.inc(debt);
      roundTrip.observe(seconds);
    },
    failed: (kind: string) => {
      count.failures.inc({ kind });
    },
  };
}

function countersOf(registry: Registry) {
  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
    new Counter<Label>({ name, help, labelNames, registers: [registry] });
  return {
    renewals: counter("weir_limit_renewals_total", "Reports to the shared store that it answered."),
    granted: counter("weir_limit_granted_total", "Cost units leased from the shared store."),
    debt: counter(
      "weir_limit_debt_total",
      "Cost units admitted before the shared store was asked, and charged to it after.",
    ),
    failures: counter(
      "weir_limit_renewal_failures_total",
      "Reports that were not answered: timeout, connection, or a reply that is an error.",
      "kind",
    ),
  };
}
