import { credentials, loadPackageDefinition, status } from "@grpc/grpc-js";
import type { Client, ClientReadableStream, ServiceError as GrpcError } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { protoPath } from "grpc-health-check";
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { manifest, writeRepository } from "../support/model-repository.js";
import type { Repository } from "../support/model-repository.js";
import { identityModel, slowModel, sumModel } from "../support/onnx-model.js";
import { inferenceGrpcClient } from "../support/inference-grpc-client.js";
import { startServe } from "../support/serve-process.js";
import type { ServeProcess } from "../support/serve-process.js";

let repository: Repository;

beforeAll(async () => {
  repository = await writeRepository({
    "echo/1/model.onnx": identityModel(),
    "wide/1/model.onnx": identityModel("FP32", "width"),
    "sum/1/model.onnx": sumModel(),
    "slow/1/model.onnx": slowModel(30),
    "slow/model.yaml": manifest("warmUp: { runs: 0 }", "maxQueued: 2"),
  });
});
afterAll(() => repository.remove());

const fp32 = (numbers: Iterable<number>) => Buffer.from(Float32Array.from(numbers).buffer);
const request = (model: string, width: number) => ({
  model_name: model,
  inputs: [{ name: "x", datatype: "FP32", shape: [1, width] }],
  raw_input_contents: [fp32(Array(width).fill(1))],
});
const SLOW = request("slow", 1);
const RIGHT = request("echo", 2);

const queued = async (server: ServeProcess, count: number) => {
  const wanted = `weir_queued{model="slow",version="1"} ${count}`;
  while (!(await (await fetch(`${server.adminUrl}/metrics`)).text()).includes(wanted));
};

describe("a running pod", () => {
  let server: ServeProcess;
  let client: ReturnType<typeof inferenceGrpcClient>;

  beforeAll(async () => {
    server = await startServe({ repository: repository.root });
    client = inferenceGrpcClient(server.grpcAddress);
  });
  afterAll(async () => {
    client.close();
    await server.stop();
  });

  test("a large tensor passes both ways", async () => {
    const large = request("wide", 2_000_000);
    const { code, reply } = await client.call("ModelInfer", large);
    expect(code).toBe(status.OK);
    const [bytes] = reply["raw_output_contents"] as readonly Buffer[];
    expect(bytes?.equals(large.raw_input_contents[0] ?? Buffer.alloc(0))).toBe(true);
  });

  test("a full queue is UNAVAILABLE and says when to come back", async () => {
    const answers = Array.from({ length: 6 }, () => client.call("ModelInfer", SLOW));
    const seen = await Promise.all(answers);
    const refused = seen.filter(({ code }) => code !== status.OK);
    expect(seen.filter(({ code }) => code === status.OK).length).toBeGreaterThanOrEqual(3);
    for (const { code, details, trailers } of refused) {
      expect([code, details]).toEqual([status.UNAVAILABLE, expect.stringMatching(/is full/)]);
      expect(Number(trailers.get("grpc-retry-pushback-ms")[0])).toBeGreaterThan(0);
    }
    expect(refused).not.toEqual([]);
  });

  test("a deadline that passes in the queue ends the call, and the work is not done", async () => {
    const first = client.call("ModelInfer", SLOW);
    const late = client.call("ModelInfer", SLOW, { deadlineMs: 20 });
    expect((await late).code).toBe(status.DEADLINE_EXCEEDED);
    await queued(server, 0);
    expect((await first).code).toBe(status.OK);
  });

  test("the mesh's time for the try counts too, and what cannot make it is not queued", async () => {
    const first = client.call("ModelInfer", SLOW);
    const metadata = { "x-envoy-expected-rq-timeout-ms": "20" };
    const { code, details } = await client.call("ModelInfer", SLOW, { metadata });
    expect([code, details]).toEqual([
      status.DEADLINE_EXCEEDED,
      expect.stringMatching(/takes about [\d.]+ ms, and [\d.]+ ms are left; it was not run/),
    ]);
    await first;
  });

  test("a call that is cancelled leaves the queue", async () => {
    const first = client.call("ModelInfer", SLOW);
    const controller = new AbortController();
    const cancelled = client.call("ModelInfer", SLOW, { signal: controller.signal });
    await queued(server, 1);
    controller.abort();
    await queued(server, 0);
    expect((await cancelled).code).toBe(status.CANCELLED);
    expect((await first).code).toBe(status.OK);
  });

  test("a thousand cancelled calls and more cost nobody an answer", async () => {
    // Node before 24 ends a session after a thousand resets; see servers/grpc/grpc-js/rapid-reset.ts.
    for (let round = 0; round < 30; round += 1) {
      const right = client.call("ModelInfer", RIGHT);
      const others = Array.from({ length: 100 }, () => {
        const controller = new AbortController();
        const call = client.call("ModelInfer", RIGHT, { signal: controller.signal });
        controller.abort();
        return call;
      });
      await Promise.all(others);
      expect(await right).toMatchObject({ code: status.OK, details: "" });
    }
  });

  test("reflection names the services, and their fields as they are written", async () => {
    const { code, replies } = await reflect(server.grpcAddress, [
      { list_services: "" },
      { file_containing_symbol: "inference.GRPCInferenceService" },
    ]);
    expect(code).toBe(status.OK);
    expect(JSON.stringify(replies[0])).toMatch(
      /inference.GRPCInferenceService.*grpc.health.v1.Health/,
    );
    const [file] = (replies[1] as FileReply).file_descriptor_response.file_descriptor_proto;
    expect(file?.toString("latin1")).toMatch(/raw_input_contents/);
  });

  test.each([
    ["", "SERVING"],
    ["readiness", "SERVING"],
    ["liveness", "SERVING"],
    ["inference.GRPCInferenceService", "SERVING"],
    ["echo", "SERVING"],
    ["echo/1", "SERVING"],
    ["echo/9", undefined],
    ["nope", undefined],
  ])("health of %j is %s", async (service, expected) => {
    const health = healthClient(server.grpcAddress);
    expect(await health.check(service)).toBe(expected);
    health.close();
  });
});

describe("the end", () => {
  test("health turns at once, what waits is finished, an idle stream is told, code 0", async () => {
    const server = await startServe({ repository: repository.root, drainMs: 3000 });
    const client = inferenceGrpcClient(server.grpcAddress);
    const health = healthClient(server.grpcAddress);
    const watched = health.watch("readiness");
    expect(await watched.next()).toBe("SERVING");
    const idle = client.stream([RIGHT], { staysOpen: true });
    const answers = Promise.all(Array.from({ length: 3 }, () => client.call("ModelInfer", SLOW)));
    await queued(server, 2);
    const exited = server.stop();
    expect(await watched.next()).toBe("NOT_SERVING");
    expect(await health.check("liveness")).toBe("SERVING");
    expect((await client.call("ModelInfer", RIGHT)).code).toBe(status.OK);
    expect((await answers).map(({ code }) => code)).toEqual([0, 0, 0]);
    expect(await idle).toMatchObject({
      ...{ code: status.UNAVAILABLE, details: expect.stringMatching(/about to end/) as string },
      replies: [{ error_message: "" }],
    });
    health.close();
    client.close();
    expect(await exited).toBe(0);
  });

  test("under load no call is lost", async () => {
    const server = await startServe({ repository: repository.root, drainMs: 3000 });
    const other = await startServe({ repository: repository.root });
    const client = inferenceGrpcClient(server.grpcAddress);
    const elsewhere = inferenceGrpcClient(other.grpcAddress);
    const codes: number[] = [];
    let current = client;
    let stopped = false;
    const callers = Array.from({ length: 16 }, async () => {
      while (!stopped) codes.push((await current.call("ModelInfer", RIGHT)).code);
    });
    while (codes.length < 200) await client.call("ModelInfer", RIGHT);
    const exited = server.stop();
    const health = healthClient(server.grpcAddress);
    // What a mesh does: it asks, and sends elsewhere when the answer is no.
    while ((await health.check("")) === "SERVING");
    current = elsewhere;
    expect(await exited).toBe(0);
    stopped = true;
    await Promise.all(callers);
    for (const each of [client, elsewhere, health]) each.close();
    await other.stop();
    expect(codes.filter((code) => code !== 0)).toEqual([]);
  });
});

type FileReply = {
  readonly file_descriptor_response: { readonly file_descriptor_proto: readonly Buffer[] };
};

/** A client made of the published .proto, with its services by name. */
function published(path: string, service: string, address: string) {
  const types = loadPackageDefinition(loadSync(path, { keepCase: true, enums: String }));
  const found = service.split(".").reduce<unknown>((scope, name) => (scope as Scope)[name], types);
  const Constructor = found as new (address: string, creds: unknown) => Client;
  return new Constructor(address, credentials.createInsecure());
}
type Scope = Readonly<Record<string, never>>;

function healthClient(address: string) {
  const client = published(protoPath, "grpc.health.v1.Health", address) as unknown as Client & {
    check(request: object, done: (error: GrpcError | null, reply?: Health) => void): void;
    watch(request: object): ClientReadableStream<Health>;
  };
  type Health = { readonly status: string };
  return {
    check: (service: string) =>
      new Promise<string | undefined>((resolve) => {
        client.check({ service }, (_error, reply) => {
          resolve(reply?.status);
        });
      }),
    watch: (service: string) => {
      const call = client.watch({ service });
      call.on("error", () => undefined);
      const next = async () => ((await once(call, "data")) as [Health])[0].status;
      return { next };
    },
    close: () => {
      client.close();
    },
  };
}

async function reflect(address: string, requests: readonly object[]) {
  const path = "node_modules/@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto";
  const client = published(
    path,
    "grpc.reflection.v1.ServerReflection",
    address,
  ) as unknown as Client & {
    ServerReflectionInfo(): ClientReadableStream<object> & {
      write(request: object): void;
      end(): void;
    };
  };
  const call = client.ServerReflectionInfo();
  const replies: object[] = [];
  call.on("data", (reply: object) => replies.push(reply));
  for (const each of requests) call.write(each);
  call.end();
  const [{ code }] = (await once(call, "status")) as [{ readonly code: number }];
  client.close();
  return { code, replies };
}
