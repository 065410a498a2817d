import { HealthImplementation } from "grpc-health-check";
import { EXT_PROC_SERVICE } from "./protocol.js";
import { RATE_LIMIT_SERVICE } from "../rate-limit/protocol.js";
import { methodsOf } from "../grpc/methods-of.js";
import type { AcceptStream } from "../grpc/stream.js";

const LIVENESS = "liveness";
/** "" is what a probe without a service name asks for. */
const READINESS = ["", "readiness", EXT_PROC_SERVICE, RATE_LIMIT_SERVICE];

export type Health = {
  notReady(): void;
  readonly methods: ReadonlyMap<string, AcceptStream>;
};

/**
 * `grpc.health.v1` under the names that probes and meshes use. Only `liveness` stays SERVING while
 * we drain: a restart then would lose the streams that the drain protects.
 */
export function makeHealth(): Health {
  const health = new HealthImplementation({
    [LIVENESS]: "SERVING",
    ...Object.fromEntries(READINESS.map((name) => [name, "SERVING" as const])),
  });
  return {
    methods: methodsOf(health),
    notReady: () => {
      for (const name of READINESS) health.setStatus(name, "NOT_SERVING");
    },
  };
}
