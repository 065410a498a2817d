import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import { Client, credentials, status as grpcStatus } from "@grpc/grpc-js";
import { describe, expect, test, vi } from "vitest";
import { EXT_PROC_SERVICE, processingRequestType } from "../../src/servers/ext-proc/protocol.js";
import { systemClock } from "../../src/adapters/system/clock.js";
import { decisionOf, extProcClient, type ServerStream } from "../support/ext-proc-client.js";
import { EVERY_TRANSPORT, extProcServers, user } from "../support/ext-proc-server.js";

/** The second that is usual is little for servers that share a busy machine. */
const SOON = { timeout: 30_000 };

describe.each(EVERY_TRANSPORT)("transport $transport", ({ transport }) => {
  const { start, closing } = extProcServers(transport);

  function openRaw(session: ClientHttp2Session): ClientHttp2Stream {
    const message = processingRequestType.serialize(user("u1"));
    const stream = session.request({
      ":method": "POST",
      ":path": `/${EXT_PROC_SERVICE}/Process`,
      "content-type": "application/grpc",
      te: "trailers",
    });
    stream.on("error", () => undefined);
    stream.write(Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]));
    return stream;
  }

  /** Waits for the answer, then ends as Envoy does: with RST_STREAM. */
  function answerOnce(session: ClientHttp2Session): Promise<"answered" | "lost"> {
    const stream = openRaw(session);
    return new Promise((resolve) => {
      stream.once("data", () => {
        resolve("answered");
        stream.close(constants.NGHTTP2_CANCEL);
      });
      stream.once("close", () => {
        resolve("lost");
      });
    });
  }

  /**
   * The gRPC client cannot be made to reset reliably; node:http2 can. Like Envoy, it opens its next
   * stream on a new connection when the server has said that the old one ends.
   */
  async function resetStreams(address: string, count: number) {
    let sessions = 0;
    const opened = () => {
      sessions += 1;
      const fresh = connect(`http://${address}`);
      fresh.on("error", () => undefined);
      return fresh;
    };
    let session = opened();
    let answered = 0;
    while (answered < count) {
      if (session.closed) session = opened();
      if ((await answerOnce(session)) === "lost") break;
      answered += 1;
    }
    session.destroy();
    return { answered, sessions };
  }

  describe("resets", () => {
    test("are normal: nothing is logged, each stream closes once, others go on", async () => {
      const { address, client, counts, log } = await start();
      const before = log();
      expect(await resetStreams(address, 200)).toEqual({ answered: 200, sessions: 1 });
      await vi.waitFor(() => {
        expect(counts).toMatchObject({ opened: 200, closed: 200 });
      }, SOON);
      const stream = client.open();
      stream.send(user("last"));
      expect(decisionOf(await stream.next())).toBe("decision-of-last");
      expect(log()).toBe(before);
    });

    test("5000 in a row lose no answer; where Node counts resets, sessions are retired in time", async () => {
      const { address } = await start();
      const { answered, sessions } = await resetStreams(address, 5000);
      expect(answered).toBe(5000);
      const counts = transport === "grpc-js" && Number.parseInt(process.versions.node, 10) < 24;
      expect(sessions).toBe(counts ? 7 : 1);
    });
  });

  test("5000 streams are held open, all are answered, and all end with OK", async () => {
    const { client, counts } = await start();
    const streams: ServerStream[] = [];
    // A hundred at a time: where sessions are retired, what crosses the GOAWAY of one is refused.
    while (streams.length < 5000) {
      const batch = Array.from({ length: 100 }, () => client.open());
      for (const stream of batch) stream.send(user("held"));
      for (const stream of batch) expect((await stream.next()).response).toBe("requestHeaders");
      streams.push(...batch);
    }
    expect(counts).toMatchObject({ opened: 5000, answered: 5000 });
    expect(counts["closed"]).toBeUndefined();
    for (const stream of streams) stream.halfClose();
    const codes = await Promise.all(streams.map(async ({ status }) => (await status).code));
    expect(new Set(codes)).toEqual(new Set([grpcStatus.OK]));
  });

  describe("health", () => {
    const check = (address: string, service: string) => {
      const client = new Client(address, credentials.createInsecure(), {
        "grpc.use_local_subchannel_pool": 1,
      });
      closing.push(() => {
        client.close();
      });
      // HealthCheckRequest.service and HealthCheckResponse.status are both field 1.
      return new Promise<number>((resolve, reject) => {
        client.makeUnaryRequest(
          "/grpc.health.v1.Health/Check",
          (name: string) => Buffer.from([0x0a, name.length, ...Buffer.from(name)]),
          (bytes) => bytes[1] ?? 0,
          service,
          (error, status) => {
            if (error === null) resolve(status ?? 0);
            else reject(error);
          },
        );
      });
    };
    const SERVING = 1;
    const NOT_SERVING = 2;

    test.each(["", "liveness", "readiness", EXT_PROC_SERVICE])('"%s" is SERVING', async (name) => {
      const { address } = await start();
      expect(await check(address, name)).toBe(SERVING);
    });

    test("an unknown service is NOT_FOUND", async () => {
      const { address } = await start();
      await expect(check(address, "other")).rejects.toMatchObject({
        code: grpcStatus.NOT_FOUND,
      });
    });

    test("a watcher is told SERVING, and NOT_SERVING as soon as a drain begins", async () => {
      const { address, drain } = await start({ drainMs: 5000 });
      const client = new Client(address, credentials.createInsecure(), {
        "grpc.use_local_subchannel_pool": 1,
      });
      closing.push(() => {
        client.close();
      });
      const told: number[] = [];
      const watch = client.makeServerStreamRequest(
        "/grpc.health.v1.Health/Watch",
        (name: string) => Buffer.from([0x0a, name.length, ...Buffer.from(name)]),
        (bytes) => bytes[1] ?? 0,
        "readiness",
      );
      watch.on("error", () => undefined);
      watch.on("data", (status: number) => told.push(status));
      await vi.waitFor(() => {
        expect(told).toEqual([SERVING]);
      }, SOON);
      const drained = drain();
      await vi.waitFor(() => {
        expect(told).toEqual([SERVING, NOT_SERVING]);
      }, SOON);
      watch.cancel();
      await drained;
    });

    test("while draining only liveness is SERVING, and streams are still accepted", async () => {
      const { address, drain, client } = await start({ drainMs: 5000 });
      const drained = drain();
      const names = ["", "liveness", "readiness", EXT_PROC_SERVICE];
      const statuses = await Promise.all(names.map((name) => check(address, name)));
      expect(statuses).toEqual([NOT_SERVING, SERVING, NOT_SERVING, NOT_SERVING]);
      const stream = client.open();
      stream.send(user("late"));
      expect(decisionOf(await stream.next())).toBe("decision-of-late");
      stream.halfClose();
      await drained;
    });
  });

  describe("drain", () => {
    test("an open stream finishes after the GOAWAY, and drain waits for it", async () => {
      const { drain, client } = await start({ finishMs: 20_000 });
      const stream = client.open();
      stream.send(user("u1"));
      await stream.next();
      let isDrained = false;
      const drained = drain().then(() => {
        isDrained = true;
      });
      for (let n = 0; n < 20; n += 1) {
        stream.send({ responseBody: { body: Buffer.from("x") } });
        expect((await stream.next()).response).toBe("responseBody");
      }
      expect(isDrained).toBe(false);
      stream.halfClose();
      expect(await stream.status).toMatchObject({ code: grpcStatus.OK });
      await drained;
    });

    test("at the deadline a decided stream ends with OK, one that was not asked with an error", async () => {
      const { drain, client, counts } = await start({ finishMs: 200 });
      const decided = client.open();
      decided.send(user("u1"));
      await decided.next();
      const unasked = client.open();
      unasked.send({ responseHeaders: {} });
      await unasked.next();
      await drain();
      expect((await decided.status).code).toBe(grpcStatus.OK);
      expect((await unasked.status).code).not.toBe(grpcStatus.OK);
      await vi.waitFor(() => {
        expect(counts["closed"]).toBe(2);
      }, SOON);
    });

    test("streams that cross the GOAWAY of a busy connection are answered", async () => {
      const { address, drain, counts } = await start({ finishMs: 5000 });
      const session = connect(`http://${address}`);
      const open = openRaw(session);
      await new Promise((resolve) => open.once("data", resolve));
      const drained = drain();
      const answers = Array.from({ length: 20 }, () => answerOnce(session));
      expect(await Promise.all(answers)).toEqual(Array.from({ length: 20 }, () => "answered"));
      open.close(constants.NGHTTP2_CANCEL);
      await drained;
      expect(counts).toMatchObject({ opened: 21, closed: 21 });
    });

    test("idle connections do not hold it up", async () => {
      const { address, drain } = await start({ finishMs: 20_000 });
      const session = connect(`http://${address}`);
      await answerOnce(session);
      const startedMs = systemClock.monotonicMs();
      await drain();
      expect(systemClock.monotonicMs() - startedMs).toBeLessThan(10_000);
    });

    test("with a second replica a drain under load loses and bypasses no request", async () => {
      const [first, second] = [await start({ drainMs: 200 }), await start()];
      const balanced = extProcClient(`ipv4:${first.address},${second.address}`);
      let isOver = false;
      const codes = new Map<string, number>();
      const worker = async () => {
        while (!isOver) {
          const stream = balanced.open();
          stream.send(user("u"));
          const kind = await stream.next().then(
            ({ response }) => response,
            () => "no answer",
          );
          stream.halfClose();
          const outcome = `${kind}, ${(await stream.status).code}`;
          codes.set(outcome, (codes.get(outcome) ?? 0) + 1);
        }
      };
      const workers = Array.from({ length: 8 }, worker);
      await vi.waitFor(() => {
        expect(first.counts["answered"]).toBeGreaterThan(50);
      }, SOON);
      await first.drain();
      const later = second.counts["answered"] ?? 0;
      await vi.waitFor(() => {
        expect(second.counts["answered"]).toBeGreaterThan(later + 50);
      }, SOON);
      isOver = true;
      await Promise.all(workers);
      balanced.close();
      expect([...codes.keys()]).toEqual([`requestHeaders, ${grpcStatus.OK}`]);
    });

    test("a second drain waits for the first", async () => {
      const { drain } = await start();
      await Promise.all([drain(), drain()]);
    });
  });
});
