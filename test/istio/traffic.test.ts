import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { ReceivedRequest } from "../support/echo-upstream.js";
import { eventually } from "../support/envoy-process.js";
import { openIstioLab, type IstioLab } from "../support/istio/istio-lab.js";
import { istioPolicy, MESH_HOST } from "../support/istio/istio-policy.js";
import type { LoggingPod } from "../support/logging-pod.js";
import { grpcStatus } from "../support/grpc-status.js";
import { sendRequest } from "../support/send-request.js";

const INFER = "/v2/models/magika/infer";
const USERS = Array.from({ length: 40 }, (_, index) => `user-${index}`);

let lab: IstioLab;
beforeAll(async () => {
  lab = await openIstioLab(istioPolicy);
});
beforeEach(() => {
  for (const [name, pod] of everyPod()) {
    pod.received.length = 0;
    pod.answerWith(() => ({ body: name === "spare" ? "v3" : name }));
  }
});
afterAll(() => lab.close());

type Pod = Pick<LoggingPod, "received" | "answerWith">;
function everyPod(): readonly (readonly [string, Pod])[] {
  return Object.entries({ ...lab.pods, outside: lab.outside });
}

const FORGED_BODY = "forged";

/** What came to the shadow of forged requests, once copies of requests sent after them have come. */
async function forgedCopies(): Promise<readonly ReceivedRequest[]> {
  const after = USERS.map((user) =>
    sendRequest(lab.gatewayPort, INFER, { headers: { "x-user-id": user }, body: "after" }),
  );
  await Promise.all(after);
  const { received } = lab.pods.next;
  await eventually("a copy of what was sent after", () =>
    received.some(({ body }) => body === "after") ? true : undefined,
  );
  return received.filter(({ body }) => body === FORGED_BODY);
}

const weirHeaders = ({ headers }: ReceivedRequest) =>
  Object.keys(headers).filter((name) => /x.weir/.test(name));

async function rejections(): Promise<Readonly<Record<string, number>>> {
  const counted = await Promise.all(
    Object.entries(lab.proxies).map(async ([name, proxy]) => {
      const stats = await proxy.stats("(lds|cds|rds.*)\\.update_rejected$");
      return Object.entries(stats).map(([stat, value]) => [`${name} ${stat}`, value] as const);
    }),
  );
  return Object.fromEntries(counted.flat().filter(([, value]) => value > 0));
}

test("no proxy refuses what istiod makes of the rendered files", async () => {
  expect(await rejections()).toEqual({});
  expect(await lab.controlPlane.metrics("pilot_total_xds_rejects")).toEqual([]);
});

describe.each(["magika", "ranker"])("%s", (model) => {
  test("every user keeps the version that extproc chose, and both versions serve", async () => {
    const path = `/v2/models/${model}/infer`;
    const send = (user: string) =>
      sendRequest(lab.gatewayPort, path, { headers: { "x-user-id": user } });
    const first = await Promise.all(USERS.map(send));
    const second = await Promise.all(USERS.map(send));
    expect(first.map(({ status }) => status)).toEqual(USERS.map(() => 200));
    expect(second.map(({ body }) => body)).toEqual(first.map(({ body }) => body));
    expect(new Set(first.map(({ body }) => body))).toEqual(new Set(["v1", "v3"]));
    const { "x-forwarded-client-cert": caller } = lab.pods.v1.received[0]!.headers;
    expect(caller).toContain("URI=spiffe://cluster.local/ns/istio-ingress/sa/istio-ingress");
    for (const version of ["v1", "v3"] as const) {
      const named = lab.pods[version].received.map(({ headers }) => headers["x-weir-version"]);
      expect(new Set(named)).toEqual(new Set([`${model}/${version}`]));
    }
  });
});

test("each request whose decision names a shadow is copied once, and only the copy is marked", async () => {
  await Promise.all(
    USERS.map((user) => {
      const headers = { "x-user-id": user, authorization: "Bearer secret", cookie: "a=b" };
      return sendRequest(lab.gatewayPort, INFER, { headers, body: user });
    }),
  );
  const primaries = [...lab.pods.v1.received, ...lab.pods.v3.received];
  const chosen = primaries.filter(({ headers }) => "x-weir-shadow-cluster" in headers);
  expect(chosen.length).toBeGreaterThan(5);
  expect(chosen.length).toBeLessThan(35);
  // Copies of an earlier test may still come; those of this one say a user.
  const copies = await eventually("the copies", () => {
    const ofUsers = lab.pods.next.received.filter(({ body }) => body.startsWith("user-"));
    return ofUsers.length === chosen.length ? ofUsers : undefined;
  });
  expect(copies.map(({ body }) => body).sort()).toEqual(chosen.map(({ body }) => body).sort());
  for (const { headers } of copies) {
    expect(headers).toMatchObject({ "x-weir-shadow": "1" });
    expect(headers).not.toHaveProperty("authorization");
    expect(headers).not.toHaveProperty("cookie");
  }
  for (const { headers } of primaries) {
    expect(headers).not.toHaveProperty("x-weir-shadow");
    expect(headers).toHaveProperty("authorization");
  }
});

test("a model outside the mesh is reached", async () => {
  const { status, body } = await sendRequest(lab.gatewayPort, "/v2/models/bought/infer");
  expect({ status, body }).toEqual({ status: 200, body: "outside" });
  expect(lab.outside.received[0]?.headers["x-weir-version"]).toBe("bought/v1");
});

test("over its limit a tenant gets 429 with retry-after; others are served", async () => {
  const send = (tenant: string) =>
    sendRequest(lab.gatewayPort, INFER, { headers: { "x-tenant": tenant } });
  const statuses: number[] = [];
  for (let count = 0; count < 4; count += 1) statuses.push((await send("greedy")).status);
  expect(statuses).toEqual([200, 200, 200, 429]);
  const refused = await send("greedy");
  expect(refused.headers).toMatchObject({ "retry-after": expect.any(String) as string });
  expect(refused.headers["ratelimit"]).toContain('"per-tenant";r=0');
  const { status, headers } = await send("modest");
  expect(status).toBe(200);
  expect(headers["ratelimit"]).toContain('"per-tenant";r=2');
});

test("the pod learns how long its caller waits, though a sidecar stands before it", async () => {
  await sendRequest(lab.gatewayPort, INFER);
  expect(lab.pods.v1.received[0]?.headers["x-envoy-expected-rq-timeout-ms"]).toBe("10000");
});

test("requests for no model get 404 and cost extproc nothing", async () => {
  const decided = async () =>
    Object.entries(await lab.proxies.gateway.stats("ext_proc.weir.streams_started"))[0]?.[1];
  const before = await decided();
  for (const path of ["/elsewhere", "/v2/models/magikarp"]) {
    expect((await sendRequest(lab.gatewayPort, path)).status).toBe(404);
  }
  expect(await decided()).toBe(before);
});

const FORGED = {
  "x-weir-version": "magika/v3",
  "x-weir-shadow-cluster": "weir-shadow/next",
  "x-weir-shadow": "1",
  "x-weir-anything": "1",
  x_weir_version: "magika/v3",
  "x-weir_version": "magika/v3",
};

test("forged x-weir-* headers of a client choose nothing and reach no pod", async () => {
  const forged = { headers: FORGED, body: FORGED_BODY };
  expect((await sendRequest(lab.gatewayPort, INFER, forged)).body).toBe("v1");
  const [received] = lab.pods.v1.received;
  expect(received?.headers["x-weir-version"]).toBe("magika/v1");
  expect(weirHeaders(received!).sort()).toEqual(
    ["x-weir-arms", "x-weir-decision", "x-weir-policy", "x-weir-version"].filter(
      (name) => name !== "x-weir-arms" || "x-weir-arms" in received!.headers,
    ),
  );
  expect(await forgedCopies()).toEqual([]);
});

describe("a pod of the mesh that is no gateway", () => {
  const call = (headers: Readonly<Record<string, string>>) => {
    const { host, models } = lab.outboundOf("stranger");
    const sent = { host: "magika-v3.models.svc.cluster.local:8080", ...headers };
    return sendRequest(models, INFER, { host, headers: sent });
  };

  test("may call a model", async () => {
    expect(await call({})).toMatchObject({ status: 200, body: "v3" });
  });

  test.each(Object.keys(FORGED).filter((name) => /^x-weir-(version|shadow)/.test(name)))(
    "may not say %s",
    async (name) => {
      expect((await call({ [name]: "1" })).status).toBe(403);
      expect(lab.pods.v3.received).toEqual([]);
    },
  );

  test("may not ask extproc", async () => {
    const { host, extproc } = lab.outboundOf("stranger");
    const authority = "weir-extproc.weir-system.svc.cluster.local:9002";
    const process = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";
    // 7 is PERMISSION_DENIED.
    expect(await grpcStatus(`http://${host}:${extproc}`, authority, process)).toBe("7");
  });
});

describe("a pod of a client namespace", () => {
  const call = (path: string, headers: Readonly<Record<string, string>>, body?: string) => {
    const { host, models } = lab.outboundOf("client");
    const sent = { host: `${MESH_HOST}:8080`, ...headers };
    return sendRequest(models, path, { host, headers: sent, ...(body !== undefined && { body }) });
  };

  test("gets the decision that the gateway gets, and its copies", async () => {
    const own = await Promise.all(USERS.map((user) => call(INFER, { "x-user-id": user })));
    await eventually("copies", () => (lab.pods.next.received.length > 5 ? true : undefined));
    const atGateway = await Promise.all(
      USERS.map((user) => sendRequest(lab.gatewayPort, INFER, { headers: { "x-user-id": user } })),
    );
    expect(own.map(({ body }) => body)).toEqual(atGateway.map(({ body }) => body));
  });

  test("chooses nothing by forged headers", async () => {
    const answer = await call(INFER, FORGED, FORGED_BODY);
    expect(answer).toMatchObject({ status: 200, body: "v1" });
    expect(await forgedCopies()).toEqual([]);
  });

  test("still reaches the other paths of the service", async () => {
    expect((await call("/v2/health/ready", {})).status).toBe(200);
  });
});

test("whoever has no certificate reaches no pod", async () => {
  const { host, port } = lab.sidecarOf("v1");
  await expect(sendRequest(port, INFER, { host })).rejects.toThrow(/reset|hang up/i);
  expect(lab.pods.v1.received).toEqual([]);
});

test("the gateway's access log says who decided and who served", async () => {
  const { headers } = await sendRequest(lab.gatewayPort, `${INFER}/logged?secret=1`, {
    headers: { "x-user-id": "u" },
  });
  const line = await eventually("the log line", () =>
    lab.proxies.gateway
      .output()
      .split("\n")
      .slice(0, -1)
      .find((text) => text.includes("/logged")),
  );
  const logged = JSON.parse(line) as Readonly<Record<string, unknown>>;
  expect(logged).toMatchObject({
    path: `${INFER}/logged`,
    decision: headers["x-weir-decision"],
    route: `weir/${String(logged["version"])}`,
    extproc_status: "0",
  });
  expect(line).not.toContain("secret");
});

test("of thousands of side streams none is lost: no proxy counts too many resets", async () => {
  const total = 2500;
  let sent = 0;
  const undecided: string[] = [];
  const sendUntilDone = async () => {
    while (sent < total) {
      sent += 1;
      const headers = { "x-user-id": `user-${sent}` };
      const answer = await sendRequest(lab.gatewayPort, INFER, { headers });
      if (!("x-weir-decision" in answer.headers)) undecided.push(answer.body);
    }
  };
  await Promise.all(Array.from({ length: 8 }, sendUntilDone));
  expect(undecided).toEqual([]);
  const resets = await lab.proxies["weir-extproc-0"].stats("inbound.*downstream_cx_protocol_error");
  expect(Object.values(resets)).toEqual([0]);
});

test("a new policy reaches proxies and extproc, and no request fails meanwhile", async () => {
  const send = () => sendRequest(lab.gatewayPort, "/v2/models/ranker/infer");
  expect((await send()).body).toBe("v1");
  const changed = istioPolicy({ host: "127.0.0.1", port: lab.outside.port });
  const models = changed.models!.map((model) =>
    model.name === "ranker" ? { ...model, default: "v3" } : model,
  );
  const statuses = new Set<number>();
  let body = "";
  const applied = lab.apply({ ...changed, models });
  await eventually("the new default to serve", async () => {
    const sent = await send();
    statuses.add(sent.status);
    body = sent.body;
    return body === "v3" ? true : undefined;
  });
  await applied;
  expect([...statuses]).toEqual([200]);
  expect(await rejections()).toEqual({});
});

test("without extproc everybody keeps the version, and forged headers still choose nothing", async () => {
  const sendAll = (headers: Readonly<Record<string, string>>, sentBody: string) =>
    Promise.all(
      USERS.map(async (user) => {
        const sent = { headers: { ...headers, "x-user-id": user }, body: sentBody };
        const { status, body } = await sendRequest(lab.gatewayPort, INFER, sent);
        return `${status} ${body}`;
      }),
    );
  const before = await sendAll({}, "before");
  await lab.extprocs[0]!.stop("SIGKILL");
  for (const pod of Object.values(lab.pods)) pod.received.length = 0;
  expect(await sendAll(FORGED, FORGED_BODY)).toEqual(before);
  for (const { headers } of [...lab.pods.v1.received, ...lab.pods.v3.received]) {
    expect(headers["x-weir-decision"]).toBe("fallback");
    expect(headers).not.toHaveProperty("x-weir-shadow-cluster");
    expect(headers).not.toHaveProperty("x-weir-anything");
  }
  const copies = lab.pods.next.received.filter(({ body }) => body === FORGED_BODY);
  expect(copies).toEqual([]);
  expect(await rejections()).toEqual({});
});
