import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startEchoUpstream, type EchoUpstream } from "../support/echo-upstream.js";
import type { EnvoyProcess } from "../support/envoy-process.js";
import { NEWEST_ENVOY, OLDEST_ENVOY } from "../support/mesh.js";
import { aPolicyDocument, type PolicyInput } from "../support/policy-builder.js";
import { startRateLimitEnvoy } from "../support/rate-limit-envoy.js";
import { sendRequest } from "../support/send-request.js";
import { startWeir, type WeirProcess } from "../support/weir-process.js";

const perHour = (requestsPerUnit: number) => ({ requestsPerUnit, unit: "hour" }) as const;

const RATE_LIMITS: PolicyInput["rateLimits"] = [
  {
    domain: "mesh",
    descriptors: [
      {
        key: "x-user",
        metadata: { team: "blue" },
        rateLimit: { ...perHour(2), name: "per-user" },
      },
      { key: "x-user", value: "vip*", rateLimit: perHour(5) },
      { key: "x-shadow", shadowMode: true, rateLimit: perHour(1) },
      { key: "x-free", rateLimit: { unlimited: true } },
      { key: "x-general", rateLimit: { ...perHour(1), name: "general" } },
      { key: "x-special", rateLimit: { ...perHour(2), replaces: ["general"] } },
      {
        key: "x-parent",
        rateLimit: perHour(4),
        descriptors: [{ key: "x-child", rateLimit: perHour(1) }],
      },
      { key: "x-model", rateLimit: perHour(100) },
    ],
  },
];

describe.each([OLDEST_ENVOY, NEWEST_ENVOY])(
  "Envoy %s with its own rate limit filter",
  (version) => {
    let folder: string;
    let extproc: WeirProcess;
    let upstream: EchoUpstream;
    let envoy: EnvoyProcess;
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "weir-rate-limit-"));
      const policy = join(folder, "policy.yaml");
      await writeFile(
        policy,
        JSON.stringify(aPolicyDocument({ models: [], rateLimits: RATE_LIMITS })),
      );
      extproc = await startWeir("extproc", ["-p", policy, "--drain-ms", "0"]);
      const newest = version === NEWEST_ENVOY ? { enable_retry_after_header: true } : {};
      upstream = await startEchoUpstream();
      const at = { extproc: extproc.address("grpc"), upstream: `127.0.0.1:${upstream.port}` };
      envoy = await startRateLimitEnvoy(version, at, newest);
    });
    afterAll(async () => {
      await envoy.stop();
      await extproc.stop();
      await rm(folder, { recursive: true });
    });
    const send = (headers: Readonly<Record<string, string>>, path = "/") =>
      sendRequest(envoy.port, path, { headers });
    const statuses = async (...requests: readonly Readonly<Record<string, string>>[]) => {
      const answers: number[] = [];
      for (const headers of requests) answers.push((await send(headers)).status);
      return answers;
    };

    test("requests over the limit get 429, with Envoy's headers and ours", async () => {
      const { status, headers } = await send({ "x-user": "a" });
      expect({ status, headers }).toMatchObject({
        status: 200,
        headers: {
          ratelimit: expect.stringMatching(/^"per-user";r=1;t=1800$/) as string,
          "ratelimit-policy": '"per-user";q=2;w=3600',
          "x-ratelimit-limit": '2, 2;w=3600;name="per-user"',
          "x-ratelimit-remaining": "1",
          "x-ratelimit-reset": "1800",
        },
      });
      await send({ "x-user": "a" });
      const refused = await send({ "x-user": "a" });
      expect(refused.status).toBe(429);
      expect(refused.headers).toMatchObject({
        "retry-after": expect.stringMatching(/^1[78]\d\d$/) as string,
        "content-type": "application/json",
        ratelimit: expect.stringMatching(/^"per-user";r=0;t=3\d\d\d$/) as string,
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": refused.headers["retry-after"],
        "x-envoy-ratelimited": "true",
      });
      expect(JSON.parse(refused.body)).toEqual({
        error: expect.stringContaining('limit "per-user" is used up') as string,
      });
    });

    test("another value has its own quota, and a pattern another limit", async () => {
      expect(await statuses({ "x-user": "b" })).toEqual([200]);
      expect((await send({ "x-user": "vip-1" })).headers["x-ratelimit-limit"]).toBe("5, 5;w=3600");
    });

    test("a gRPC caller is told RESOURCE_EXHAUSTED", async () => {
      const headers = { "x-user": "grpc", "content-type": "application/grpc" };
      await statuses(headers, headers);
      const { status, headers: answered } = await send(headers);
      expect({ status, grpc: answered["grpc-status"] }).toEqual({ status: 200, grpc: "8" });
    });

    test("hits of a descriptor come from the route, and zero only asks", async () => {
      const tokens = (count: number) => ({ "x-model": "m", "x-tokens": String(count) });
      const asked = [0, 90, 20, 0, 10, 0].map(tokens);
      expect(await statuses(...asked)).toEqual([200, 200, 429, 200, 200, 429]);
    });

    test("a limit of the route's own goes before the policy's", async () => {
      const answers: string[] = [];
      for (let n = 0; n < 4; n++) {
        const { status, headers } = await send({ "x-granted": "g" }, "/granted");
        answers.push(`${status} ${String(headers["x-ratelimit-remaining"])}`);
      }
      expect(answers).toEqual(["200 2", "200 1", "200 0", "429 0"]);
    });

    test("several descriptors: any refuses, and then none is charged", async () => {
      const family = (child: string) => ({ "x-parent": "p", "x-child": child });
      // The parent has room for four; the refusals between take none of it.
      const requests = ["1", "1", "1", "2", "3", "4", "5"].map(family);
      expect(await statuses(...requests)).toEqual([200, 429, 429, 200, 200, 200, 429]);
    });

    test("shadow mode admits and is counted, unlimited is told as such, a replaced limit is not asked", async () => {
      expect(await statuses({ "x-shadow": "s" }, { "x-shadow": "s" })).toEqual([200, 200]);
      expect((await send({ "x-free": "f" })).status).toBe(200);
      const both = { "x-general": "g", "x-special": "s" };
      expect(await statuses(both, both, both)).toEqual([200, 200, 429]);
      expect(await statuses({ "x-general": "g" }, { "x-general": "g" })).toEqual([200, 429]);
      const metrics = await extproc.metrics();
      const count = (descriptor: string, outcome: string) =>
        metrics.get(
          `weir_rate_limit_descriptors_total{domain="mesh",descriptor="${descriptor}",outcome="${outcome}"}`,
        );
      expect([
        count("x-shadow", "ok"),
        count("x-shadow", "wouldLimit"),
        count("x-free", "unlimited"),
        count("x-general", "replaced"),
      ]).toEqual([1, 1, 1, 3]);
    });

    test("metadata of the rule reaches Envoy, within the limit only", async () => {
      const user = { "x-user": "meta" };
      expect((await send(user)).headers["x-team"]).toBe("blue");
      await send(user);
      const refused = await send(user);
      expect({ status: refused.status, team: refused.headers["x-team"] }).toEqual({
        ...{ status: 429, team: undefined },
      });
    });

    test("what no rule is for passes", async () => {
      expect(await statuses({})).toEqual([200]);
    });
  },
);
