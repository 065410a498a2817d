import { once } from "node:events";
import { Client, credentials, status as grpcStatus, type ServiceError } from "@grpc/grpc-js";
import { trace } from "@opentelemetry/api";
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-node";
import { Struct as PbStruct } from "google-protobuf/google/protobuf/struct_pb.js";
import { describe, expect, test, vi } from "vitest";
import type { ProcessingRequest } from "../../src/gen/envoy/service/ext_proc/v3/ProcessingRequest.js";
import { EXT_PROC_SERVICE, processingRequestType } from "../../src/servers/ext-proc/protocol.js";
import { decisionOf, mutationOf, requestHeaders } from "../support/ext-proc-client.js";
import { EVERY_TRANSPORT, extProcServers, user } from "../support/ext-proc-server.js";
import { aDecision } from "../unit/servers/ext-proc/a-decision.js";

const FILTER = "envoy.filters.http.ext_proc";
describe.each(EVERY_TRANSPORT)("transport $transport", ({ transport }) => {
  const { start, closing } = extProcServers(transport);

  describe("hostile and odd headers", () => {
    const factsOf = async (message: ProcessingRequest | Buffer) => {
      const { client, seen } = await start({ handle: () => ({ kind: "passThrough" }) });
      const stream = client.open();
      stream.send(message);
      const answer = await stream.next();
      const [facts] = seen;
      if (facts === undefined) throw new Error("nothing was decided");
      return { facts, mutation: mutationOf(answer) };
    };

    test("what a client forged is removed, each name once, before ours is set", async () => {
      const { client } = await start();
      const stream = client.open();
      stream.send(
        requestHeaders([
          ["x-weir-version", "magika/v9"],
          ["x-weir-version", "magika/v8"],
          ["x-weir-shadow", "1"],
          ["x-weir-override", "magika-v3=control"],
          ["x-weir-override-token", "secret"],
          ["x-force", "custom"],
          ["x-user-id", "u1"],
        ]),
      );
      const { set, removed } = mutationOf(await stream.next());
      expect(removed).toEqual([
        "x-weir-version",
        "x-weir-shadow",
        "x-weir-override",
        "x-weir-override-token",
        "x-force",
      ]);
      expect(set["x-weir-version"]).toBe("magika/v3");
    });

    test("a 16 KiB value arrives whole", async () => {
      const { facts } = await factsOf(user("u".repeat(16_384)));
      expect(facts.headers.values("x-user-id")).toEqual(["u".repeat(16_384)]);
    });

    test("five thousand headers, half of them forged, are read and stripped", async () => {
      const many = Array.from(
        { length: 5000 },
        (_, n) => [n % 2 === 0 ? `x-weir-${n}` : `x-h-${n}`, String(n)] as const,
      );
      const { facts, mutation } = await factsOf(requestHeaders(many));
      expect(facts.headers.values("x-h-4999")).toEqual(["4999"]);
      expect(mutation.removed).toHaveLength(2500);
    });

    test("a repeated header arrives as all of its values", async () => {
      const { facts } = await factsOf(
        requestHeaders([
          ["x-user-id", "a"],
          ["x-user-id", "b"],
        ]),
      );
      expect(facts.headers.values("x-user-id")).toEqual(["a", "b"]);
    });

    test("a raw value that is not UTF-8 arrives as U+FFFD", async () => {
      const { facts } = await factsOf(user(Buffer.from([0x75, 0xc3, 0x28, 0xff])));
      expect(facts.headers.values("x-user-id")[0]).toContain("\ufffd");
    });

    test("the principal comes from attributes that google-protobuf wrote", async () => {
      const spiffe = "spiffe://cluster.local/ns/a/sa/b";
      const struct = PbStruct.fromJavaScript({ "connection.uri_san_peer_certificate": spiffe });
      // ProcessingRequest.attributes (9): an entry { key (1), value (2) }, written by hand.
      const field = (tag: number, bytes: Uint8Array) => Buffer.from([tag, bytes.length, ...bytes]);
      const entry = Buffer.concat([
        field(0x0a, Buffer.from(FILTER)),
        field(0x12, struct.serializeBinary()),
      ]);
      const headers = processingRequestType.serialize(user("u1"));
      const { facts } = await factsOf(Buffer.concat([headers, field(0x4a, entry)]));
      expect(facts.principal).toBe(spiffe);
    });

    test("header names of Object.prototype are only names", async () => {
      const { facts } = await factsOf(
        requestHeaders([
          ["__proto__", "p"],
          ["constructor", "c"],
        ]),
      );
      expect(facts.headers.values("__proto__")).toEqual(["p"]);
      expect(facts.headers.values("tostring")).toEqual([]);
    });
  });

  describe("when something breaks", () => {
    test("an error in our code is answered with the safe default, logged and counted", async () => {
      const { client, counts, log } = await start();
      const stream = client.open();
      stream.send(
        requestHeaders([
          ["x-user-id", "bug"],
          ["x-weir-version", "forged"],
        ]),
      );
      const answer = await stream.next();
      expect(mutationOf(answer)).toEqual({
        set: {},
        removed: ["x-weir-version"],
        clearRouteCache: true,
      });
      stream.send({ responseHeaders: {} });
      expect((await stream.next()).response).toBe("responseHeaders");
      stream.halfClose();
      expect(await stream.status).toMatchObject({ code: grpcStatus.OK });
      expect(counts["failed"]).toBe(1);
      expect(log()).toContain("seeded failure");
    });

    test.each([
      {
        name: "unhealthy",
        broken: {
          unhealthy: () => {
            throw new Error("seeded");
          },
        },
      },
      {
        name: "alsoStrip",
        broken: {
          alsoStrip: () => {
            throw new Error("seeded");
          },
        },
      },
      {
        name: "limitOf",
        broken: {
          limitOf: () => {
            throw new Error("seeded");
          },
        },
      },
    ])("an error in $name is answered too", async ({ broken }) => {
      const { client, counts } = await start(broken);
      const stream = client.open();
      stream.send(user("u1"));
      expect((await stream.next()).response).toBe("requestHeaders");
      expect(counts["failed"]).toBe(1);
    });

    test("bytes that are no message end the stream with an error, never with OK", async () => {
      const { client, counts } = await start();
      const stream = client.open();
      stream.send(Buffer.from([0x12, 0xff]));
      expect(await stream.status).toMatchObject({ code: grpcStatus.INVALID_ARGUMENT });
      expect(counts["spurious"]).toBe(1);
      const next = client.open();
      next.send(user("u1"));
      expect(decisionOf(await next.next())).toBe("decision-of-u1");
    });

    test("a message over 4 MiB ends the stream with RESOURCE_EXHAUSTED", async () => {
      const { client } = await start();
      const stream = client.open();
      stream.send({ requestBody: { body: Buffer.alloc(5 * 2 ** 20) } });
      expect(await stream.status).toMatchObject({ code: grpcStatus.RESOURCE_EXHAUSTED });
    });

    test("a method that is not there is UNIMPLEMENTED, and says so", async () => {
      const { address } = await start();
      const client = new Client(address, credentials.createInsecure(), {
        "grpc.use_local_subchannel_pool": 1,
      });
      closing.push(() => {
        client.close();
      });
      const same = (bytes: Buffer) => bytes;
      const call = client.makeBidiStreamRequest(`/${EXT_PROC_SERVICE}/Other`, same, same);
      const [error] = (await once(call.resume(), "error")) as [ServiceError];
      expect(error.code).toBe(grpcStatus.UNIMPLEMENTED);
      expect(error.details).toContain("Other");
    });

    test("a bad header value is left out, and the rest of the decision is sent", async () => {
      const { client, counts } = await start({
        handle: () => ({ kind: "admitted", decision: aDecision({ policy: "a\r\nb" }), id: "d" }),
      });
      const stream = client.open();
      stream.send(user("u1"));
      expect(Object.keys(mutationOf(await stream.next()).set)).not.toContain("x-weir-policy");
      expect(counts["dropped"]).toBe(1);
    });

    test("half-close before any message ends the stream", async () => {
      const { client, counts } = await start();
      const stream = client.open();
      stream.halfClose();
      expect(await stream.status).toMatchObject({ code: grpcStatus.OK });
      await vi.waitFor(
        () => {
          expect(counts).toMatchObject({ opened: 1, closed: 1 });
        },
        { timeout: 30_000 },
      );
    });
  });

  test("the span sits under the proxy's, says what was decided, and names no unit", async () => {
    const exporter = new InMemorySpanExporter();
    const provider = new NodeTracerProvider({
      spanProcessors: [new SimpleSpanProcessor(exporter)],
    });
    provider.register();
    closing.push(
      () => {
        trace.disable();
      },
      () => provider.shutdown(),
    );
    const { client } = await start({ tracer: provider.getTracer("test") });
    const traceId = "11111111111111111111111111111111";
    const stream = client.open({ traceparent: `00-${traceId}-2222222222222222-01` });
    stream.send(user("secret-user"));
    await stream.next();
    const [span] = exporter.getFinishedSpans();
    expect(span?.spanContext().traceId).toBe(traceId);
    expect(span).toMatchObject({
      name: "weir.decide",
      attributes: { "weir.outcome": "admitted", "weir.arms": "magika-v3=treatment" },
    });
    expect(JSON.stringify({ ...span?.attributes, "weir.decision": "" })).not.toContain(
      "secret-user",
    );
  });
});
