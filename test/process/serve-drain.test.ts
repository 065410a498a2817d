import { once } from "node:events";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { manifest, writeRepository } from "../support/model-repository.js";
import type { Repository } from "../support/model-repository.js";
import { slowModel, sumModel } from "../support/onnx-model.js";
import { postJson, startServe } from "../support/serve-process.js";

let repository: Repository;

beforeAll(async () => {
  repository = await writeRepository({
    "sum/1/model.onnx": sumModel(),
    "sum/model.yaml": manifest("maxBatchSize: 8", "maxQueueDelayMs: 20"),
    "slow/1/model.onnx": slowModel(40),
    "slow/model.yaml": manifest("warmUp: { runs: 0 }"),
  });
});
afterAll(() => repository.remove());

const BODY = JSON.stringify({
  inputs: [
    { name: "a", shape: [1, 2], datatype: "FP32", data: [1, 2] },
    { name: "b", shape: [1, 2], datatype: "FP32", data: [3, 4] },
  ],
});

type Seen = { readonly status: number | string; readonly closes: boolean };

function post(url: string, agent: Agent): Promise<Seen> {
  return new Promise((resolve) => {
    const headers = { "content-type": "application/json" };
    const sent = request(url, { method: "POST", agent, headers }, (response) => {
      response.resume().on("end", () => {
        const closes = response.headers.connection === "close";
        resolve({ status: response.statusCode ?? 0, closes });
      });
    });
    sent.on("error", (error) => {
      resolve({ status: String(error), closes: false });
    });
    sent.end(BODY);
  });
}

test("under load SIGTERM turns readiness first and loses no request", async () => {
  // The clients must be done within it, however slow the machine: after it nobody is there.
  const server = await startServe({ repository: repository.root, drainMs: 3000 });
  const agent = new Agent({ keepAlive: true });
  const seen: Seen[] = [];
  let stopped = false;
  const clients = Array.from({ length: 16 }, async () => {
    while (!stopped) seen.push(await post(`${server.url}/v2/models/sum/infer`, agent));
  });
  while (seen.length < 100) await post(`${server.url}/v2/models/sum/infer`, agent);
  const exited = server.stop();
  // What a mesh does: it asks, and stops sending when the answer is no.
  while ((await fetch(`${server.url}/v2/health/ready`)).status === 200);
  const sentBefore = seen.length;
  while (seen.length < sentBefore + 50) await post(`${server.url}/v2/models/sum/infer`, agent);
  stopped = true;
  await Promise.all(clients);
  agent.destroy();
  expect(seen.filter(({ status }) => status !== 200)).toEqual([]);
  expect(seen.some(({ closes }) => closes)).toBe(true);
  expect(await exited).toBe(0);
});

test("work that waits and runs when SIGTERM comes is finished", async () => {
  const server = await startServe({ repository: repository.root, drainMs: 100 });
  const body = { inputs: [{ name: "x", shape: [1, 1], datatype: "FP32", data: [0] }] };
  const url = `${server.url}/v2/models/slow/infer`;
  const answers = Promise.all(Array.from({ length: 4 }, () => postJson(url, body)));
  while (
    !(await (await fetch(`${server.adminUrl}/metrics`)).text()).includes(
      'weir_queued{model="slow",version="1"} 3',
    )
  );
  const code = await server.stop();
  expect((await answers).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect(code).toBe(0);
});

test("a connection that never carried a request does not hold up the end", async () => {
  const server = await startServe({ repository: repository.root });
  const { hostname, port } = new URL(server.url);
  const socket = connect(Number(port), hostname);
  await once(socket, "connect");
  // Answered on another connection: by then the server has taken this one.
  await fetch(`${server.url}/v2/health/live`);
  const startedAtMs = performance.now();
  expect(await server.stop()).toBe(0);
  expect(performance.now() - startedAtMs).toBeLessThan(5000);
  socket.destroy();
});
