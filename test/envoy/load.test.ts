import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ENVOY_VERSIONS } from "../../src/adapters/toolchain/envoy-binary.js";
import { withEndpoints, withScriptedDecisions } from "../support/edit-bootstrap.js";
import { INFER, openEnvoyLab, type EnvoyLab } from "../support/envoy-lab.js";
import { eventually } from "../support/envoy-process.js";
import { sendRequest } from "../support/send-request.js";

const OLDEST_AND_NEWEST = [ENVOY_VERSIONS[0]!, ENVOY_VERSIONS.at(-1)!];
const SHADOW_OVERFLOW = "cluster.weir-shadow/v3-shadow.upstream_rq_pending_overflow";

describe.each(OLDEST_AND_NEWEST)("Envoy %s", (version) => {
  let lab: EnvoyLab;
  beforeAll(async () => {
    lab = await openEnvoyLab(version);
  });
  beforeEach(() => {
    lab.reset();
  });
  afterAll(() => lab.close());

  test("a retry goes to another endpoint", async () => {
    const ports = [lab.pods.v1.port, lab.pods.spare.port];
    const envoy = await lab.start(withEndpoints(lab.rendered(), "weir/magika/v1", ports));
    lab.pods.v1.answerWith(() => ({ status: 503 }));
    for (let sent = 0; sent < 10; sent += 1) {
      const { status, body } = await sendRequest(envoy.port, INFER, { body: `${sent}` });
      expect({ status, body }).toEqual({ status: 200, body: "spare" });
    }
    const retried = lab.pods.spare.received.filter(
      ({ headers }) => headers["x-envoy-attempt-count"] !== "1",
    );
    expect(retried.length).toBeGreaterThan(0);
  });

  test("a limit (429) is not retried", async () => {
    const envoy = await lab.start(lab.rendered());
    lab.pods.v1.answerWith(() => ({ status: 429 }));
    expect((await sendRequest(envoy.port, INFER)).status).toBe(429);
    expect(lab.pods.v1.received.length).toBe(1);
  });

  test("1500 requests at once all reach the pod", async () => {
    const envoy = await lab.start(lab.rendered());
    const release = lab.pods.v1.hold();
    const answers = Array.from({ length: 1500 }, () => sendRequest(envoy.port, INFER));
    await eventually("1500 requests at the pod", () =>
      lab.pods.v1.received.length >= 1500 ? true : undefined,
    );
    release();
    expect((await Promise.all(answers)).filter(({ status }) => status !== 200)).toEqual([]);
  });

  test("the net under everything limits when nothing else does", async () => {
    const envoy = await lab.start(lab.rendered({ maxRequestsPerSecond: 5 }));
    const answers = await Promise.all(
      Array.from({ length: 40 }, () => sendRequest(envoy.port, INFER)),
    );
    const limited = answers.filter(({ status }) => status === 429);
    expect(limited.length).toBeGreaterThan(20);
  });

  test("requests for no model may go elsewhere", async () => {
    const passthrough = { host: "127.0.0.1", port: lab.pods.spare.port };
    const envoy = await lab.start(lab.rendered({ passthrough }));
    expect((await sendRequest(envoy.port, "/elsewhere")).body).toBe("spare");
  });

  test("a hung shadow holds a bounded number of copies and no primary", async () => {
    const envoy = await lab.start(withScriptedDecisions(lab.rendered()));
    const release = lab.pods.shadow.hold();
    const headers = { "x-test-shadow-cluster": "weir-shadow/v3-shadow" };
    const answers = await Promise.all(
      Array.from({ length: 800 }, () => sendRequest(envoy.port, INFER, { headers })),
    );
    expect(answers.every(({ body }) => body === "v1")).toBe(true);
    const { [SHADOW_OVERFLOW]: dropped } = await envoy.stats("cluster.weir-shadow/v3-shadow");
    expect(dropped).toBeGreaterThanOrEqual(800 - 2 * 256);
    expect(lab.pods.shadow.received.length).toBeLessThanOrEqual(256);
    release();
  });
});
