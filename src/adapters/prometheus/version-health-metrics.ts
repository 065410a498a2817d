import { Gauge, type Registry } from "prom-client";
import type { VersionHealth } from "../../app/ports.js";

/** Reads the port at every scrape, so that it cannot tell another story than the decisions. */
export function exposeVersionHealth(registry: Registry, health: VersionHealth): void {
  new Gauge({
    name: "weir_version_unhealthy",
    help: "1 for every version whose health check fails now.",
    labelNames: ["model", "version"],
    registers: [registry],
    collect() {
      this.reset();
      for (const key of health.unhealthy()) {
        const [model = "", version = ""] = key.split("/");
        this.set({ model, version }, 1);
      }
    },
  });
}
