import { status as grpcStatus } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import type { ProcessingRequest } from "../../src/gen/envoy/service/ext_proc/v3/ProcessingRequest.js";
import { decisionOf, mutationOf, requestHeaders } from "../support/ext-proc-client.js";
import { extProcServers, user } from "../support/ext-proc-server.js";

const { start } = extProcServers();

describe("one answer per message", () => {
  const LATER: readonly { name: string; message: ProcessingRequest }[] = [
    { name: "responseHeaders", message: { responseHeaders: {} } },
    { name: "requestBody", message: { requestBody: { body: Buffer.from("x") } } },
    { name: "responseBody", message: { responseBody: { body: Buffer.from("x") } } },
    { name: "requestTrailers", message: { requestTrailers: {} } },
    { name: "responseTrailers", message: { responseTrailers: {} } },
  ];

  test("request headers get the decision; the client's half-close ends the stream with OK", async () => {
    const { client } = await start();
    const stream = client.open();
    stream.send(user("u1"));
    expect(mutationOf(await stream.next())).toMatchObject({
      set: { "x-weir-version": "magika/v3", "x-weir-decision": "decision-of-u1" },
      clearRouteCache: true,
    });
    stream.halfClose();
    expect(await stream.status).toMatchObject({ code: grpcStatus.OK });
  });

  test.each(LATER)("$name may come first", async ({ name, message }) => {
    const { client } = await start();
    const stream = client.open();
    stream.send(message);
    expect(await stream.next()).toMatchObject({ response: name });
    stream.halfClose();
    expect(await stream.status).toMatchObject({ code: grpcStatus.OK });
    expect(stream.waiting()).toBe(0);
  });

  test("all phases of one request are answered in order, sent without waiting", async () => {
    const { client } = await start();
    const stream = client.open();
    stream.send(user("u1"));
    for (const { message } of LATER) stream.send(message);
    stream.halfClose();
    const kinds = [];
    for (let n = 0; n <= LATER.length; n += 1) kinds.push((await stream.next()).response);
    expect(kinds).toEqual(["requestHeaders", ...LATER.map(({ name }) => name)]);
    expect(await stream.status).toMatchObject({ code: grpcStatus.OK });
  });

  test("second request headers are answered, stripped, and counted as spurious", async () => {
    const { client, counts } = await start();
    const stream = client.open();
    stream.send(user("u1"));
    await stream.next();
    stream.send(
      requestHeaders([
        ["x-user-id", "u2"],
        ["x-weir-seed", "9"],
      ]),
    );
    expect(mutationOf(await stream.next())).toMatchObject({
      set: { "x-weir-decision": "decision-of-u2" },
      removed: ["x-weir-seed"],
    });
    expect(counts["spurious"]).toBe(1);
  });

  test.each([
    { name: "limited", code: "TooManyRequests", details: "weir_rate_limited" },
    { name: "refused", code: 451, details: "weir_residency" },
  ])(
    "a $name request is answered at once, and later messages are not",
    async ({ name, code, details }) => {
      const { client } = await start();
      const stream = client.open();
      stream.send(user(name));
      expect((await stream.next()).immediateResponse).toMatchObject({ status: { code }, details });
      stream.send({ requestBody: { body: Buffer.from("x"), endOfStream: true } });
      stream.halfClose();
      await stream.status;
      expect(stream.waiting()).toBe(0);
    },
  );
});

describe("silence where Envoy expects none", () => {
  test("observability mode: nothing is decided and nothing is answered", async () => {
    const { client, seen } = await start();
    const stream = client.open();
    stream.send({ ...user("u1"), observabilityMode: true });
    stream.send({ responseHeaders: {}, observabilityMode: true });
    stream.halfClose();
    expect(await stream.status).toMatchObject({ code: grpcStatus.OK });
    expect([stream.waiting(), seen.length]).toEqual([0, 0]);
  });

  test("a oneof member that we do not know is skipped, and the next message is answered", async () => {
    const { client, counts } = await start();
    const stream = client.open();
    stream.send(Buffer.from([0xd2, 0x05, 0x02, 0x08, 0x01])); // field 90, a message
    stream.send(user("u1"));
    expect(decisionOf(await stream.next())).toBe("decision-of-u1");
    expect(counts["unknown"]).toBe(1);
  });
});

describe("full duplex bodies", () => {
  test("protocol_config on the first message turns on the echo, in order and whole", async () => {
    const { client } = await start();
    const stream = client.open();
    stream.send({ ...user("u1"), protocolConfig: { requestBodyMode: "FULL_DUPLEX_STREAMED" } });
    const chunks = ["first", "x".repeat(150_000), ""];
    chunks.forEach((chunk, index) => {
      const endOfStream = index === chunks.length - 1;
      stream.send({ requestBody: { body: Buffer.from(chunk), endOfStream } });
    });
    expect((await stream.next()).response).toBe("requestHeaders");
    let echoed = "";
    for (let ended = false; !ended;) {
      const piece = (await stream.next()).requestBody?.response?.bodyMutation?.streamedResponse;
      echoed += piece?.body?.toString() ?? "";
      ended = piece?.endOfStream ?? false;
    }
    expect(echoed).toBe(chunks.join(""));
    stream.send({ requestTrailers: {} });
    expect(await stream.next()).toMatchObject({ response: "requestTrailers", requestTrailers: {} });
  });

  test("a reader that stalls stops the echo from piling up, and still gets every byte", async () => {
    const { client } = await start();
    const stream = client.open();
    stream.send({
      responseHeaders: {},
      protocolConfig: { responseBodyMode: "FULL_DUPLEX_STREAMED" },
    });
    const body = Buffer.alloc(60_000, 7);
    for (let n = 0; n < 100; n += 1) stream.send({ responseBody: { body } });
    stream.halfClose();
    await stream.next();
    let bytes = 0;
    for (let n = 0; n < 100; n += 1) {
      const answer = await stream.next();
      bytes += answer.responseBody?.response?.bodyMutation?.streamedResponse?.body?.length ?? 0;
    }
    expect(bytes).toBe(100 * body.length);
    expect(await stream.status).toMatchObject({ code: grpcStatus.OK });
  });
});
