import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { seedOf } from "../../src/core/experiment/bucket.js";
import type { AssignmentEvent } from "../../src/schema/events.js";
import { eventually } from "../support/envoy-process.js";
import { NEWEST_ENVOY, OLDEST_ENVOY, openMesh, type Mesh } from "../support/mesh.js";
import { sendRaw } from "../support/raw-request.js";
import { INFER, TRAFFIC_PODS, trafficPolicy, type TrafficPod } from "../support/traffic-policy.js";
import { runWeir } from "../support/weir-process.js";

/** As bytes in latin1: a client library would refuse some, or change them. */
const withLines = (...lines: readonly string[]) =>
  [`POST ${INFER} HTTP/1.1`, "host: h", "connection: close", "content-length: 0", ...lines]
    .map((line) => `${line}\r\n`)
    .join("") + "\r\n";

describe.each([OLDEST_ENVOY, NEWEST_ENVOY])("Envoy %s", (envoy) => {
  let mesh: Mesh<TrafficPod>;
  beforeAll(async () => {
    mesh = await openMesh({ envoy, pods: TRAFFIC_PODS, policy: trafficPolicy });
  });
  afterAll(() => mesh.close());

  test.each([
    { name: "empty", lines: ["x-user-id:"], because: "empty" },
    { name: "blank", lines: ["x-user-id:    "], because: "empty" },
    { name: "repeated", lines: ["x-user-id: a", "x-user-id: b"], because: "repeated" },
    { name: "257 characters", lines: [`x-user-id: ${"u".repeat(257)}`], because: "tooLong" },
    { name: "a tab inside", lines: ["x-user-id: a\tb"], because: "controlCharacter" },
    { name: "a C1 control", lines: ["x-user-id: a\xc2\x85b"], because: "controlCharacter" },
    { name: "not UTF-8", lines: ["x-user-id: a\xff"], because: "invalidUtf8" },
    {
      name: "a cookie beside a broken header",
      lines: ["x-user-id:", "cookie: uid=a"],
      because: "empty",
    },
    { name: "absent", lines: [], because: "absent" },
  ])("a unit id that is $name is in no experiment, and is served", async ({ lines, because }) => {
    const { status, headers } = await sendRaw(mesh.port, withLines(...lines));
    expect(status).toBe(200);
    const { version, arms } = await eventOf(headers);
    expect(version).toBe("v1");
    expect(arms).toMatchObject([
      { experiment: "magika-v3", arm: null, bucket: null, reason: "noUnit", because },
      { experiment: "banner", arm: null, bucket: null, reason: "noUnit", because },
    ]);
  });

  test("a unit id of 16 KiB is in no experiment; what it gets is the pod's answer", async () => {
    const { status, headers } = await sendRaw(
      mesh.port,
      withLines(`x-user-id: ${"u".repeat(16_384)}`),
    );
    // Node's parser, which the pod of this test has, takes 16 KiB of headers.
    expect(status).toBe(431);
    const { arms } = await eventOf(headers);
    expect(arms[0]).toMatchObject({ reason: "noUnit", because: "tooLong" });
  });

  test.each([
    { name: "letters of all the world", id: "\u0645\u0631\u062d\u0628\u0627-\u{1f30a}" },
    { name: "256 characters", id: "u".repeat(256) },
    { name: "quotes and separators", id: `a";b=1, c\\d` },
  ])("a unit id with $name is a unit", async ({ id }) => {
    const line = Buffer.from(`x-user-id: ${id}`).toString("latin1");
    const { status, headers } = await sendRaw(mesh.port, withLines(line));
    expect(status).toBe(200);
    expect((await eventOf(headers)).seed).toBe(seedOf(id, "seed:magika"));
  });

  test.each([
    { name: "a control character in the unit id", lines: ["x-user-id: a\x01b"], status: 400 },
    { name: "a zero byte in the unit id", lines: ["x-user-id: a\0b"], status: 400 },
    {
      name: "2000 headers",
      lines: Array.from({ length: 2000 }, (_, n) => `x-h-${n}: ${n}`),
      status: 431,
    },
    { name: "70 KiB of headers", lines: [`x-user-id: ${"u".repeat(70 * 1024)}`], status: 431 },
  ])("$name: Envoy answers $status, and nobody decides", async ({ lines, status }) => {
    const before = await decisionsSoFar();
    expect((await sendRaw(mesh.port, withLines(...lines))).status).toBe(status);
    expect(await decisionsSoFar()).toBe(before);
  });

  test("as many forged headers as Envoy takes are all stripped", async () => {
    mesh.pods.v1.received.length = 0;
    const lines = Array.from({ length: 90 }, (_, n) => `x-weir-h${n}: ${n}`);
    const { status } = await sendRaw(mesh.port, withLines(...lines));
    expect(status).toBe(200);
    const [received] = mesh.pods.v1.received;
    expect(Object.keys(received!.headers).filter((name) => name.startsWith("x-weir-"))).toEqual([
      ...["x-weir-version", "x-weir-policy", "x-weir-decision"],
    ]);
  });

  test("what was logged of odd requests can be computed again", async () => {
    const { stdout } = await runWeir(["replay", mesh.logDirectory, "-p", mesh.policyFile]);
    const counts = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as unknown;
    expect(counts).toMatchObject({ different: 0, otherPolicy: 0, error: 0, torn: 0, invalid: 0 });
  });

  /** The log line of the decision that the answer names. */
  async function eventOf(headers: string): Promise<AssignmentEvent> {
    const id = /x-weir-decision: (\w+)/.exec(headers)?.[1];
    if (id === undefined) throw new Error(`answered undecided: ${headers}`);
    const event = await eventually("its log line", async () =>
      (await mesh.events()).find((one) => "facts" in one && one.decision === id),
    );
    return event as AssignmentEvent;
  }

  async function decisionsSoFar(): Promise<number> {
    const samples = [...(await mesh.extprocs[0]!.metrics())];
    return samples
      .filter(([sample]) => sample.startsWith("weir_requests_total"))
      .reduce((sum, [, value]) => sum + value, 0);
  }
});
