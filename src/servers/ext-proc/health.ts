import type { Server } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import { EXT_PROC_SERVICE } from "./protocol.js";

const LIVENESS = "liveness";
/** "" is what a probe without a service name asks for. */
const READINESS = ["", "readiness", EXT_PROC_SERVICE];

export type Health = { notReady(): void };

/**
 * `grpc.health.v1` under the names that probes and meshes use. Only `liveness` stays SERVING while
 * we drain: a restart then would lose the streams that the drain protects.
 */
export function addHealth(server: Server): Health {
  const health = new HealthImplementation({
    [LIVENESS]: "SERVING",
    ...Object.fromEntries(READINESS.map((name) => [name, "SERVING" as const])),
  });
  health.addToServer(server);
  return {
    notReady: () => {
      for (const name of READINESS) health.setStatus(name, "NOT_SERVING");
    },
  };
}
