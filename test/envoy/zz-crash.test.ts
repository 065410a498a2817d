import { connect } from "node:net";
import { once } from "node:events";
import { test } from "vitest";
import { openMesh } from "../support/mesh.js";
import { sendRequest } from "../support/send-request.js";
import { INFER, TRAFFIC_PODS, trafficPolicy } from "../support/traffic-policy.js";
test.each([["1.36.4","on"],["1.36.4","off"],["1.37.0","on"],["1.38.3","on"],["1.39.3","on"],["1.40.0","on"],["1.40.0","off"]] as const)("%s %s", async (envoy, flag) => {
  const mesh = await openMesh({ envoy, pods: TRAFFIC_PODS, policy: trafficPolicy, renderFlags: flag === "on" ? [] : ["--no-graceful-close"] });
  let n = 0; let died = "";
  try {
    for (; n < 400; n++) {
      const socket = connect(mesh.port, "127.0.0.1");
      socket.on("error", () => undefined);
      socket.end(`POST ${INFER} HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\nx-user-id: u${n}\r\n\r\n`);
      socket.resume();
      await once(socket, "close");
      if (n % 20 === 0) { const r = await sendRequest(mesh.port, INFER).catch((e: Error) => e.message); if (typeof r === "string") { died = r; break; } }
    }
  } finally {
    console.log("RESULT", envoy, flag, "after", n, died === "" ? "alive" : `DEAD ${died}`);
    await mesh.close();
  }
});
