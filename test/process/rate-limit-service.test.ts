import { Client, credentials, status, type ServiceError } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";
import { memoryLimitStore } from "../../src/adapters/memory/limit-store.js";
import { systemClock } from "../../src/adapters/system/clock.js";
import { makeShouldRateLimit } from "../../src/app/should-rate-limit.js";
import type { RateLimitRequest } from "../../src/gen/envoy/service/ratelimit/v3/RateLimitRequest.js";
import type { RateLimitResponse__Output } from "../../src/gen/envoy/service/ratelimit/v3/RateLimitResponse.js";
import {
  rateLimitRequestType,
  rateLimitResponseType,
  SHOULD_RATE_LIMIT_PATH,
} from "../../src/servers/rate-limit/protocol.js";
import { EVERY_TRANSPORT, extProcServers } from "../support/ext-proc-server.js";
import { aPolicy } from "../support/policy-builder.js";

const policy = aPolicy({
  rateLimits: [
    {
      domain: "d",
      descriptors: [{ key: "k", rateLimit: { requestsPerUnit: 2, unit: "week", name: 'a "b"' } }],
    },
  ],
});
const entry = { entries: [{ key: "k", value: "v" }] };

describe.each(EVERY_TRANSPORT)("the rate limit service on $transport", ({ transport }) => {
  const { start } = extProcServers(transport);
  const clients: Client[] = [];
  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
  });
  const startService = async () => {
    const refused: string[] = [];
    const metrics = {
      judged: () => undefined,
      answered: () => undefined,
      refused: (because: string) => void refused.push(because),
    };
    const ports = { policy: () => policy, limits: memoryLimitStore(10), clock: systemClock };
    const shouldRateLimit = makeShouldRateLimit({ ...ports, metrics });
    const { address, log } = await start({ rateLimit: { shouldRateLimit, metrics } });
    const client = new Client(address, credentials.createInsecure());
    clients.push(client);
    const asTheyAre = (bytes: Buffer) => bytes;
    const send = (bytes: Buffer) =>
      new Promise<RateLimitResponse__Output | { code: number; details: string }>((resolve) => {
        const onAnswer = (error: ServiceError | null, answer?: Buffer) => {
          if (answer !== undefined) resolve(rateLimitResponseType.deserialize(answer));
          else resolve({ code: error?.code ?? 0, details: error?.details ?? "" });
        };
        client.makeUnaryRequest(SHOULD_RATE_LIMIT_PATH, asTheyAre, asTheyAre, bytes, onAnswer);
      });
    const ask = (request: RateLimitRequest) =>
      send(Buffer.from(rateLimitRequestType.serialize(request)));
    return { send, ask, refused, log };
  };

  test("one request gets one answer, with a status for each descriptor", async () => {
    const { ask } = await startService();
    const request = { domain: "d", descriptors: [entry, { entries: [] }], hitsAddend: 2 };
    const currentLimit = { requestsPerUnit: 2, unit: "WEEK", name: 'a "b"' };
    expect(await ask(request)).toMatchObject({
      overallCode: "OK",
      statuses: [
        { code: "OK", currentLimit, durationUntilReset: { seconds: 604_800 } },
        { code: "OK" },
      ],
      responseHeadersToAdd: [
        { key: "ratelimit", value: '"a _b_";r=0;t=604800' },
        { key: "ratelimit-policy", value: '"a _b_";q=2;w=604800' },
      ],
    });
    expect(await ask(request)).toMatchObject({
      overallCode: "OVER_LIMIT",
      statuses: [{ code: "OVER_LIMIT", currentLimit }, { code: "OK" }],
    });
  });

  test.each([
    {
      name: "no domain",
      request: { descriptors: [entry] },
      says: "domain is empty: set it in Envoy's rate limit filter",
    },
    {
      name: "no descriptors",
      request: { domain: "d" },
      says: "no descriptors: give the route an action",
    },
    {
      name: "too many",
      request: { domain: "d", descriptors: Array.from({ length: 257 }, () => entry) },
      says: "257 descriptors are over the limit of 256",
    },
    {
      name: "a limit per no unit",
      request: { domain: "d", descriptors: [{ ...entry, limit: { requestsPerUnit: 3 } }] },
      says: "a limit override is per UNKNOWN: write one of second, minute, hour, day, week, month, year",
    },
  ])("$name is a bad request that says so", async ({ request, says }) => {
    const { ask, refused } = await startService();
    expect(await ask(request)).toEqual({ code: status.INVALID_ARGUMENT, details: says });
    expect(refused).toEqual(["badRequest"]);
  });

  test("bytes that are no request are a bad request", async () => {
    const { send } = await startService();
    expect(await send(Buffer.from([0xff, 0xff]))).toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  test("a bug of ours is INTERNAL, is counted, and hides its text", async () => {
    const metrics: string[] = [];
    const { address, log } = await start({
      rateLimit: {
        shouldRateLimit: () => {
          throw new Error("seeded failure");
        },
        metrics: {
          ...{ judged: () => undefined, answered: () => undefined },
          refused: (because) => void metrics.push(because),
        },
      },
    });
    const client = new Client(address, credentials.createInsecure());
    clients.push(client);
    const bytes = rateLimitRequestType.serialize({ domain: "d", descriptors: [entry] });
    const error = await new Promise<ServiceError | null>((resolve) => {
      const asTheyAre = (buffer: Buffer) => buffer;
      client.makeUnaryRequest(SHOULD_RATE_LIMIT_PATH, asTheyAre, asTheyAre, bytes, (failure) => {
        resolve(failure);
      });
    });
    expect(error?.code).toBe(status.INTERNAL);
    expect(error?.details).not.toContain("seeded");
    expect(metrics).toEqual(["internal"]);
    expect(log()).toContain("seeded failure");
  });
});
