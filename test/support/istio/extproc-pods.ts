import { startWeir, type WeirProcess } from "../weir-process.js";
import type { ControlPlane } from "./control-plane.js";
import { endpointSlice, type Service, type Workload } from "./workload.js";

/** Pods of `weir extproc`: programs whose sidecars stay when they are replaced. */
export type ExtprocPods = {
  /** The processes that were started last, one per replica. */
  readonly processes: readonly WeirProcess[];
  readonly port: (replica: number) => number;
  /** Ends a replica as Kubernetes ends a pod, and starts it again at its address. */
  readonly replace: (
    replica: number,
    mesh: Pick<ControlPlane, "put">,
    service: Service,
  ) => Promise<void>;
  readonly stop: () => Promise<void>;
};

export async function startExtprocPods(
  replicas: number,
  flags: readonly string[],
): Promise<ExtprocPods> {
  const start = (more: readonly string[]) => startWeir("extproc", [...flags, ...more]);
  const processes = await Promise.all(Array.from({ length: replicas }, () => start([])));
  const address = (replica: number) => processes[replica]!.address("grpc");
  return {
    processes,
    port: (replica) => Number(address(replica).split(":")[1]),
    replace: async (replica, { put }, service) => {
      const workload: Workload = service.workloads[replica]!;
      // Kubernetes says so and sends SIGTERM at once: proxies hear of it while it drains.
      put(endpointSlice(service, workload, "terminating"));
      await processes[replica]!.stop("SIGTERM");
      processes[replica] = await start(["--grpc-address", address(replica)]);
      put(endpointSlice(service, workload));
    },
    stop: async () => {
      for (const process of processes) await process.stop();
    },
  };
}
