import { connect } from "node:http2";
import { createServer, type Server } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ENVOY_VERSIONS } from "../../src/adapters/toolchain/envoy-binary.js";
import type { EchoUpstream } from "../support/echo-upstream.js";
import { withScriptedDecisions } from "../support/edit-bootstrap.js";
import { GRPC, INFER, NO_EXTPROC, openEnvoyLab, type EnvoyLab } from "../support/envoy-lab.js";
import { eventually, type EnvoyProcess } from "../support/envoy-process.js";
import { sendRequest } from "../support/send-request.js";

const OLDEST_AND_NEWEST = [ENVOY_VERSIONS[0]!, ENVOY_VERSIONS.at(-1)!];

describe.each(OLDEST_AND_NEWEST)("Envoy %s", (version) => {
  let lab: EnvoyLab;
  beforeAll(async () => {
    lab = await openEnvoyLab(version);
  });
  beforeEach(() => {
    lab.reset();
  });
  afterAll(() => lab.close());

  describe("while extproc is away and the edge fails open", () => {
    let envoy: EnvoyProcess;
    beforeAll(async () => {
      envoy = await lab.start(lab.rendered({ headersRead: ["x-weir-cost", "x-user-id"] }));
    });

    test("a request is served by the default version, undecided", async () => {
      const { status, body, headers } = await sendRequest(envoy.port, INFER, { body: "{}" });
      expect({ status, body }).toEqual({ status: 200, body: "v1" });
      expect(Object.keys(headers).filter((name) => /weir|ratelimit/.test(name))).toEqual([]);
      expect(lab.pods.v1.received).toMatchObject([{ path: INFER, body: "{}" }]);
      expect(weirHeaders(lab.pods.v1)).toEqual({});
    });

    test("forged x-weir-* headers choose no route, make no copy and reach no pod", async () => {
      const forged = {
        "x-weir-version": "magika/v3",
        "x-weir-shadow-cluster": "weir-shadow/v3-shadow",
        "x-weir-shadow": "1",
        "x-weir-arms": "a=b",
        "x-weir-anything": "1",
        "weir-aside-x-weir-cost": "0",
        x_weir_version: "magika/v3",
      };
      const { body } = await sendRequest(envoy.port, INFER, { headers: forged });
      expect(body).toBe("v1");
      expect(weirHeaders(lab.pods.v1)).toEqual({});
      expect(lab.pods.shadow.received).toEqual([]);
    });

    test("an x-weir-* header that the policy reads survives", async () => {
      const headers = { "x-weir-cost": "7", "x-weir-plan": "gold" };
      await sendRequest(envoy.port, INFER, { headers });
      expect(weirHeaders(lab.pods.v1)).toEqual({ "x-weir-cost": "7" });
    });

    test("the pod learns the attempt and how long the caller waits", async () => {
      await sendRequest(envoy.port, INFER);
      expect(lab.pods.v1.received[0]?.headers).toMatchObject({
        "x-envoy-attempt-count": "1",
        "x-envoy-expected-rq-timeout-ms": "10000",
      });
    });

    test("clients cannot steer Envoy, nor choose the request id", async () => {
      lab.pods.v1.answerWith(() => ({ status: 500 }));
      const forged = {
        "x-envoy-attempt-count": "9",
        "x-envoy-internal": "true",
        "x-envoy-max-retries": "5",
        "x-envoy-retry-on": "5xx",
        "x-envoy-upstream-rq-timeout-ms": "1",
        "x-request-id": "forged",
      };
      await sendRequest(envoy.port, INFER, { headers: forged });
      expect(lab.pods.v1.received).toHaveLength(1);
      const { headers } = lab.pods.v1.received[0]!;
      expect(headers).toMatchObject({
        "x-envoy-attempt-count": "1",
        "x-envoy-expected-rq-timeout-ms": "10000",
      });
      expect(headers).not.toHaveProperty("x-envoy-internal");
      expect(headers["x-request-id"]).not.toBe("forged");
    });

    test.each([
      { name: "unknown path", path: "/elsewhere", status: 404 },
      { name: "prefix that ends inside a segment", path: "/v2/models/magikarp", status: 404 },
      { name: "the prefix itself", path: "/v2/models/magika?a=1", status: 200 },
      { name: "dot segments", path: "/v2/models/other/../magika/infer", status: 200 },
      { name: "empty segments", path: "/v2//models///magika/infer", status: 200 },
      { name: "escaped slash", path: "/v2/models/magika%2Finfer", status: 400 },
      { name: "a path of a model for other hosts", path: GRPC, status: 404 },
    ])("$name: $path gets $status", async ({ path, status }) => {
      expect((await sendRequest(envoy.port, path)).status).toBe(status);
    });

    test("a request for no model costs extproc nothing", async () => {
      const failures = async () => (await envoy.stats("ext_proc.weir.streams"))[STREAMS_FAILED];
      const before = await failures();
      expect((await sendRequest(envoy.port, "/elsewhere")).status).toBe(404);
      expect(await failures()).toBe(before);
      await sendRequest(envoy.port, INFER);
      expect(await failures()).toBeGreaterThan(before ?? 0);
    });

    test("the access log says who served and that nobody decided", async () => {
      await sendRequest(envoy.port, `${INFER}/logged?secret=1`);
      const line = await eventually("the log line", () =>
        envoy.accessLog().find(({ path }) => path === `${INFER}/logged`),
      );
      expect(line).toMatchObject({
        method: "POST",
        status: 200,
        route: "magika/default",
        cluster: "weir/magika/v1",
        decision: null,
        version: null,
        shadow: null,
      });
      expect(JSON.stringify(envoy.accessLog())).not.toContain("secret");
    });
  });

  describe("while extproc fails", () => {
    let silent: Server;
    beforeAll(async () => {
      // Accepts connections and never says a word.
      silent = createServer();
      await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    });
    afterAll(() => silent.close());

    test.each([
      { failureMode: "closed", extproc: "away", status: 503 },
      { failureMode: "closed", extproc: "silent", status: 504 },
      { failureMode: "open", extproc: "silent", status: 200 },
    ] as const)("$failureMode, extproc is $extproc: $status", async (row) => {
      const { port } = silent.address() as { port: number };
      const extproc =
        row.extproc === "away" ? NO_EXTPROC : [{ kind: "tcp", host: "127.0.0.1", port } as const];
      const envoy = await lab.start(lab.rendered({ failureMode: row.failureMode, extproc }));
      const { status } = await sendRequest(envoy.port, INFER);
      expect(status).toBe(row.status);
      expect(lab.pods.v1.received.length).toBe(row.status === 200 ? 1 : 0);
    });
  });

  describe("when a decision was made", () => {
    let envoy: EnvoyProcess;
    beforeAll(async () => {
      envoy = await lab.start(withScriptedDecisions(lab.rendered()));
    });

    test.each([
      { decided: "magika/v3", served: "v3" },
      { decided: "magika/v1", served: "v1" },
      { decided: "magika/v9", served: "v1" },
      { decided: "magika-grpc/v1", served: "v1" },
    ] as const)("$decided is served by $served", async ({ decided, served }) => {
      const headers = { "x-test-version": decided };
      expect((await sendRequest(envoy.port, INFER, { headers })).body).toBe(served);
      expect(weirHeaders(lab.pods[served])).toEqual({ "x-weir-version": decided });
    });

    test("a shadow gets a marked copy without credentials, and its answer is dropped", async () => {
      const headers = {
        "x-test-shadow-cluster": "weir-shadow/v3-shadow",
        "x-test-decision": "01D",
        authorization: "Bearer t",
        cookie: "uid=1",
      };
      const answer = await sendRequest(envoy.port, INFER, { headers, body: "input" });
      expect(answer.body).toBe("v1");
      const copy = await eventually("the copy", () => lab.pods.shadow.received[0]);
      expect(copy).toMatchObject({ path: INFER, body: "input" });
      expect(copy.headers).toMatchObject({ "x-weir-shadow": "1", host: `127.0.0.1:${envoy.port}` });
      expect(copy.headers).not.toHaveProperty("authorization");
      expect(copy.headers).not.toHaveProperty("cookie");
      const [primary] = lab.pods.v1.received;
      expect(primary?.headers).toMatchObject({ authorization: "Bearer t", cookie: "uid=1" });
      expect(primary?.headers).not.toHaveProperty("x-weir-shadow");
      expect(copy.headers["x-request-id"]).toBe(primary?.headers["x-request-id"]);
    });

    test("a gRPC request and its copy both arrive in HTTP/2", async () => {
      const session = connect(`http://127.0.0.1:${envoy.port}`);
      const request = session.request({
        ":path": GRPC,
        ":method": "POST",
        ":authority": "models.example.com:443",
        "content-type": "application/grpc",
        "x-test-shadow-cluster": "weir-shadow/grpc",
      });
      request.end("message");
      await text(request);
      session.close();
      const copy = await eventually("the copy", () => lab.pods["grpc-shadow"].received[0]);
      expect([lab.pods.grpc.received[0], copy]).toMatchObject([
        { path: GRPC, httpVersion: "2.0", body: "message" },
        { path: GRPC, httpVersion: "2.0", body: "message" },
      ]);
      expect(copy.headers["x-weir-shadow"]).toBe("1");
    });

    test("quota and decision are told to the client, and only what is known", async () => {
      const headers = { "x-test-ratelimit": '"t";r=9;t=1', "x-test-decision": "01D" };
      const answer = await sendRequest(envoy.port, INFER, { headers });
      expect(answer.headers).toMatchObject({ ratelimit: '"t";r=9;t=1', "x-weir-decision": "01D" });
      expect(answer.headers).not.toHaveProperty("ratelimit-policy");
      await eventually("its log line", () =>
        envoy.accessLog().find(({ decision }) => decision === "01D"),
      );
    });
  });
});

const STREAMS_FAILED = "http.weir.ext_proc.weir.streams_failed";

/** The x-weir-* and weir-* headers of the last request, however they are spelled. */
function weirHeaders({ received }: EchoUpstream): Readonly<Record<string, unknown>> {
  const headers = Object.entries(received.at(-1)?.headers ?? {});
  return Object.fromEntries(headers.filter(([name]) => /^(x[-_])?weir/.test(name)));
}
