import { connect } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { eventually } from "../support/envoy-process.js";
import { NEWEST_ENVOY, OLDEST_ENVOY, openMesh, type Mesh } from "../support/mesh.js";
import { sendRequest } from "../support/send-request.js";
import { INFER, TRAFFIC_PODS, trafficPolicy, type TrafficPod } from "../support/traffic-policy.js";

let mesh: Mesh<TrafficPod>;
afterEach(() => mesh.close());

const send = (n: number) =>
  sendRequest(mesh.port, INFER, { headers: { "x-user-id": `user-${n}` } });

/** Sends a request and leaves at once, as Envoy sees it while the decision is on its way. */
function sendAndLeave(n: number): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(mesh.port, "127.0.0.1");
    // Being reset is one way of being left alone.
    socket
      .on("error", () => undefined)
      .once("close", () => {
        resolve();
      });
    socket.resume();
    socket.end(
      `POST ${INFER} HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\nx-user-id: u${n}\r\n\r\n`,
    );
  });
}

describe("clients that leave before their decision is there", () => {
  test.each([
    { envoy: OLDEST_ENVOY, renderFlags: [] },
    { envoy: NEWEST_ENVOY, renderFlags: [] },
    { envoy: NEWEST_ENVOY, renderFlags: ["--graceful-close"] },
  ])("do no harm to others: Envoy $envoy $renderFlags", async ({ envoy, renderFlags }) => {
    mesh = await openMesh({ envoy, renderFlags, pods: TRAFFIC_PODS, policy: trafficPolicy });
    for (let n = 0; n < 300; n += 1) {
      await sendAndLeave(n);
      if (n % 20 === 0) expect((await send(n)).status).toBe(200);
    }
    const stats = await mesh.envoy.stats("ext_proc.weir");
    expect(stats["http.weir.ext_proc.weir.streams_failed"]).toBe(0);
  });
});

describe("extproc ends while pods are still at work", () => {
  const inFlight = 100;
  test.each([
    { envoy: OLDEST_ENVOY, failureMode: "open", signal: "SIGKILL" },
    { envoy: OLDEST_ENVOY, failureMode: "open", signal: "SIGTERM" },
    { envoy: OLDEST_ENVOY, failureMode: "closed", signal: "SIGTERM" },
    { envoy: NEWEST_ENVOY, failureMode: "open", signal: "SIGKILL" },
    { envoy: NEWEST_ENVOY, failureMode: "closed", signal: "SIGKILL" },
    { envoy: NEWEST_ENVOY, failureMode: "closed", signal: "SIGTERM" },
  ] as const)(
    "by $signal, fail $failureMode, Envoy $envoy: what was decided is served",
    async (row) => {
      mesh = await openMesh({
        ...{ envoy: row.envoy, pods: TRAFFIC_PODS },
        policy: (at) => trafficPolicy(at, { shadows: [] }),
        renderFlags: ["--failure-mode", row.failureMode],
        extprocFlags: ["--drain-ms", "0", "--finish-ms", "200"],
      });
      let waiting = 0;
      let release: () => void = () => undefined;
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      for (const name of ["v1", "v3"] as const) {
        mesh.pods[name].answerWith(async () => {
          waiting += 1;
          await released;
          return { body: name };
        });
      }
      const answers = Array.from({ length: inFlight }, (_, n) => send(n));
      await eventually("all at the pods", () => (waiting === inFlight ? true : undefined));
      await mesh.extprocs[0]!.stop(row.signal);
      await eventually("Envoy to notice", async () => {
        const { [CONNECTIONS]: open } = await mesh.envoy.stats(CONNECTIONS);
        return open === 0 ? true : undefined;
      });
      release();
      const statuses = (await Promise.all(answers)).map(({ status }) => status);
      expect(statuses.filter((status) => status !== 200)).toEqual([]);
    },
  );
});

const CONNECTIONS = "cluster.weir-extproc.upstream_cx_active";
