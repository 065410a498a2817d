import { request } from "node:http";
import pino from "pino";
import { Counter, Registry } from "prom-client";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ServiceError } from "../../../../src/core/error.js";
import type { AdminRoute } from "../../../../src/servers/admin-http/route.js";
import { type AdminServer, serveAdmin } from "../../../../src/servers/admin-http/server.js";

const ROUTES: readonly AdminRoute[] = [
  {
    method: "GET",
    path: "/policy",
    answer: () => ({ status: 200, body: "kind: ServingPolicy\n" }),
  },
  {
    method: "POST",
    path: "/explain",
    answer: (asked) => ({ status: 200, body: { got: asked.json(), q: asked.query.get("q") } }),
  },
  {
    method: "GET",
    path: "/bug",
    answer: () => Promise.reject(new Error("the password is hunter2")),
  },
  {
    method: "GET",
    path: "/away",
    answer: () => {
      throw new ServiceError("dependencyDown", "no answer from redis:6379");
    },
  },
];

let server: AdminServer;
let state: { ready: boolean; detail: Record<string, unknown> };
let logged: string;
beforeEach(async () => {
  state = { ready: true, detail: { policy: "p1" } };
  logged = "";
  const registry = new Registry();
  new Counter({ name: "weir_test_total", help: "A test.", registers: [registry] }).inc(3);
  server = await serveAdmin({
    address: "127.0.0.1:0",
    registry,
    ready: () => state,
    routes: ROUTES,
    logger: pino({}, { write: (line: string) => (logged += line) }),
  });
});
afterEach(() => server.close());

const ask = (path: string, init?: RequestInit) => fetch(`http://${server.address}${path}`, init);

describe("standard routes", () => {
  test("/livez is alive", async () => {
    const answer = await ask("/livez");
    expect([answer.status, await answer.json()]).toEqual([200, { live: true }]);
  });

  test("/readyz says 200 or 503, and why", async () => {
    const ready = await ask("/readyz?verbose");
    expect([ready.status, await ready.json()]).toEqual([200, { ready: true, policy: "p1" }]);
    state = { ready: false, detail: { model: "magika/v3 is loading" } };
    const unready = await ask("/readyz");
    const detail = { ready: false, model: "magika/v3 is loading" };
    expect([unready.status, await unready.json()]).toEqual([503, detail]);
  });

  test("/metrics is the text format of Prometheus", async () => {
    const answer = await ask("/metrics");
    expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(await answer.text()).toContain("weir_test_total 3");
  });

  test("HEAD is GET without the body", async () => {
    const [head, get] = [await ask("/livez", { method: "HEAD" }), await ask("/livez")];
    expect(head.status).toBe(200);
    expect(await head.text()).toBe("");
    expect(head.headers.get("content-length")).toBe(get.headers.get("content-length"));
  });
});

describe("routes of the process", () => {
  test("get the query and the JSON of the body", async () => {
    const answer = await ask("/explain?q=a%20b", { method: "POST", body: '{"a":["ü"]}' });
    expect(await answer.json()).toEqual({ got: { a: ["ü"] }, q: "a b" });
    expect(answer.headers.get("content-type")).toBe("application/json");
  });

  test("send a string as it is", async () => {
    const answer = await ask("/policy");
    expect(await answer.text()).toBe("kind: ServingPolicy\n");
    expect(answer.headers.get("content-type")).toBe("text/plain; charset=utf-8");
  });
});

describe("what is wrong is answered with what to do", () => {
  test.each([
    {
      name: "an unknown path",
      path: "/",
      status: 404,
      error:
        "no route /; the routes are: GET /livez, GET /readyz, GET /metrics, GET /policy, POST /explain",
    },
    {
      name: "another method",
      path: "/livez",
      method: "DELETE",
      status: 405,
      error: "/livez takes GET, HEAD, not DELETE",
    },
    {
      name: "a GET of a POST route",
      path: "/explain",
      status: 405,
      error: "/explain takes POST, not GET",
    },
    {
      name: "a body that is not JSON",
      path: "/explain",
      method: "POST",
      body: '{"a":',
      status: 400,
      error: "the body is not JSON: Unexpected end",
    },
    {
      name: "a body over the limit",
      path: "/explain",
      method: "POST",
      body: "x".repeat(65_537),
      status: 413,
      error: "over 65536 bytes",
    },
    {
      name: "a dependency that is away",
      path: "/away",
      status: 503,
      error: "no answer from redis:6379",
    },
  ])("$name: $status", async ({ path, method = "GET", body, status, error }) => {
    const answer = await ask(path, body === undefined ? { method } : { method, body });
    expect(answer.status).toBe(status);
    expect(((await answer.json()) as { error: string }).error).toContain(error);
  });

  test("405 has the allow header", async () => {
    expect((await ask("/explain")).headers.get("allow")).toBe("POST");
  });

  test("a bug is a 500 without its text, and the log has it", async () => {
    const answer = await ask("/bug");
    expect(answer.status).toBe(500);
    expect(await answer.text()).not.toContain("hunter2");
    expect(logged).toContain("hunter2");
  });

  test("a target that is no path is a 400", async () => {
    const status = await new Promise((resolve, reject) => {
      const { hostname, port } = new URL(`http://${server.address}`);
      request({ hostname, port, path: "http://[" }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      })
        .on("error", reject)
        .end();
    });
    expect(status).toBe(400);
  });
});

describe("addresses", () => {
  const serve = (address: string) =>
    serveAdmin({
      address,
      registry: new Registry(),
      ready: () => state,
      logger: pino({ enabled: false }),
    });

  test.each(["9102", "localhost", "127.0.0.1:x", "127.0.0.1:70000", "::1:9102", ""])(
    "%j is refused, with an example",
    async (address) => {
      await expect(serve(address)).rejects.toThrow("must be HOST:PORT, such as 127.0.0.1:9002");
    },
  );

  test("an address that is taken is refused by name", async () => {
    await expect(serve(server.address)).rejects.toThrow(
      `cannot listen on admin address ${server.address}: listen EADDRINUSE`,
    );
  });

  test("port 0 is answered with the port that was bound", () => {
    expect(server.address).toMatch(/^127\.0\.0\.1:[1-9]\d+$/);
  });
});

test("close ends idle connections at once, and finishes an answer under way", async () => {
  let finish: () => void = () => undefined;
  const slow = await serveAdmin({
    address: "127.0.0.1:0",
    registry: new Registry(),
    ready: () => state,
    routes: [
      {
        method: "GET",
        path: "/slow",
        answer: () =>
          new Promise((resolve) => {
            finish = () => {
              resolve({ status: 200, body: "done" });
            };
            asked();
          }),
      },
    ],
    logger: pino({ enabled: false }),
  });
  let asked: () => void = () => undefined;
  const arrived = new Promise<void>((resolve) => (asked = resolve));
  const answer = fetch(`http://${slow.address}/slow`);
  await arrived;
  const startedAtMs = performance.now();
  const closed = slow.close();
  finish();
  expect(await (await answer).text()).toBe("done");
  await closed;
  // Sooner than by the deadline for connections that stay.
  expect(performance.now() - startedAtMs).toBeLessThan(1000);
  await expect(fetch(`http://${slow.address}/livez`)).rejects.toThrow();
});
