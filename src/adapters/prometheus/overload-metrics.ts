import { Gauge, type Registry } from "prom-client";

export function exposeOverload(registry: Registry, isShedding: () => boolean): void {
  new Gauge({
    name: "weir_shedding",
    help: "1 while this process is overloaded and decides nothing but defaults.",
    registers: [registry],
    collect() {
      this.set(isShedding() ? 1 : 0);
    },
  });
}
