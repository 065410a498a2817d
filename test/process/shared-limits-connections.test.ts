import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, describe, expect, test } from "vitest";
import { eventually } from "../support/envoy-process.js";
import { freePort, startRedis } from "../support/redis-process.js";
import { aLimit, aReplica, chargeOne, type Replica } from "../support/shared-stores.js";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function replica(url: string, ca?: string): Replica {
  const store = aReplica(url, ca === undefined ? {} : { ca });
  closing.push(() => store.close(0));
  return store;
}
async function redisWith(...settings: readonly string[]) {
  const redis = await startRedis(...settings);
  closing.push(() => redis.stop());
  return redis;
}

/** Shares a quota of three through that URL: a new replica finds what another used. */
async function expectSharing(url: string, ca?: string): Promise<void> {
  const [one, other] = [replica(url, ca), replica(url, ca)];
  await eventually("both to be there", () =>
    one.isUp() && other.replicas() === 2 && one.replicas() === 2 ? true : undefined,
  );
  const limit = aLimit({ requests: 3, periodMs: 60_000, burst: 3, overshoot: 0 });
  for (let at = 0; at < 3; at++) {
    const renewals = one.renewals();
    chargeOne(one, limit);
    await eventually("the report", () => (one.renewals() > renewals ? true : undefined));
  }
  chargeOne(other, limit);
  await eventually("the answer", () => (other.renewals() > 0 ? true : undefined));
  expect(chargeOne(other, limit).kind).toBe("limited");
}

describe("ways to reach Redis", () => {
  test("a user with a password, and a database, over TCP", async () => {
    const port = await freePort();
    const redis = await redisWith("--port", String(port), "--requirepass", "p@ss/w%rd");
    const url = (password: string) => `redis://default:${password}@127.0.0.1:${port}/3`;
    await expectSharing(url("p%40ss%2Fw%25rd"));
    expect(await redis.cli("-a", "p@ss/w%rd", "--no-auth-warning", "-n", "3", "DBSIZE")).toBe("2");
    const wrong = replica(url("wr0ng-secret"));
    await eventually("the refusal", () => (wrong.changes.length > 0 ? true : undefined));
    expect(wrong.changes).toEqual(["down"]);
    expect(wrong.because()).toMatch(/WRONGPASS|NOAUTH|invalid/i);
    expect(wrong.because()).not.toContain("wr0ng-secret");
  });

  test("a user who may do what docs/limits.md lists, and nothing else", async () => {
    const page = await readFile(new URL("../../docs/limits.md", import.meta.url), "utf8");
    const [, list = ""] = /the user needs (.*?) on `weir:\*`/s.exec(page) ?? [];
    const commands = [...list.matchAll(/`([A-Z]+)`/g)].map(([, name = ""]) => `+${name}`);
    expect(commands.length).toBeGreaterThan(5);
    const port = await freePort();
    const redis = await redisWith("--port", String(port));
    const rights = ["on", ">pw", "~weir:*", ...commands];
    expect(await redis.cli("ACL", "SETUSER", "weir", ...rights)).toBe("OK");
    await expectSharing(`redis://weir:pw@127.0.0.1:${port}`);
    expect(await redis.cli("ACL", "LOG")).toBe("");
  });

  test("TLS, with a certificate of one's own", async () => {
    const folder = await mkdtemp(join(tmpdir(), "weir-tls-"));
    closing.push(() => rm(folder, { recursive: true }));
    const [key, certificate] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
    await promisify(execFile)("openssl", [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost"],
      ...["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
    ]);
    const port = await freePort();
    await redisWith(
      ...["--tls-port", String(port), "--port", "0", "--tls-auth-clients", "no"],
      ...["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", certificate],
    );
    await expectSharing(`rediss://127.0.0.1:${port}`, await readFile(certificate, "utf8"));
    const stranger = replica(`rediss://127.0.0.1:${port}`);
    await eventually("the refusal", () => (stranger.changes.length > 0 ? true : undefined));
    expect(stranger.because()).toContain("certificate");
  });

  test("sentinels, which name another server when one dies", async () => {
    const [masterPort, otherPort, sentinelPort] = [
      await freePort(),
      await freePort(),
      await freePort(),
    ];
    const master = await redisWith("--port", String(masterPort));
    const other = await redisWith(
      ...["--port", String(otherPort), "--replicaof", `127.0.0.1 ${masterPort}`],
      ...["--repl-diskless-sync-delay", "0"],
    );
    await eventually("the copy", async () =>
      (await other.cli("INFO", "replication")).includes("master_link_status:up") ? true : undefined,
    );
    const sentinel = await redisWith("--sentinel", "--port", String(sentinelPort));
    await sentinel.cli("SENTINEL", "MONITOR", "weir", "127.0.0.1", String(masterPort), "1");
    await sentinel.cli("SENTINEL", "SET", "weir", "down-after-milliseconds", "500");
    await sentinel.cli("SENTINEL", "SET", "weir", "failover-timeout", "3000");
    await eventually("the sentinel to know both", async () =>
      (await sentinel.cli("SENTINEL", "REPLICAS", "weir")).includes(String(otherPort))
        ? true
        : undefined,
    );
    const url = `redis+sentinel://127.0.0.1:${sentinelPort}/weir`;
    await expectSharing(url);
    const store = replica(url);
    await eventually("it to be there", () => (store.isUp() ? true : undefined));
    await master.kill();
    await eventually("the loss", () => (store.changes.includes("down") ? true : undefined));
    await eventually("the other server", () => (store.isUp() ? true : undefined), 30_000);
    expect(await other.cli("INFO", "replication")).toContain("role:master");
    const renewals = store.renewals();
    chargeOne(store, aLimit(), "after");
    await eventually("a lease of it", () => (store.renewals() > renewals ? true : undefined));
  });
});

describe("servers that are no Redis", () => {
  async function serverOf(answer: (socket: Socket) => void): Promise<string> {
    const sockets = new Set<Socket>();
    const server: Server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => undefined);
      answer(socket);
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    closing.push(() => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(resolve));
    });
    return `redis://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
  const always = (reply: string | Buffer) => (socket: Socket) => {
    socket.on("data", () => socket.write(reply));
  };

  test.each([
    ["that says nothing", () => undefined],
    ["that hangs up", (socket: Socket) => socket.end()],
    ["that says OK to everything", always("+OK\r\n")],
    ["that says no to everything", always("-ERR go away\r\n")],
    ["that speaks HTTP", always("HTTP/1.1 400 Bad Request\r\n\r\n")],
    ["that sends noise", always(Buffer.from([0, 1, 2, 255, 13, 10, 42, 13, 10]))],
    ["that answers with deep arrays", always(`${"*1\r\n".repeat(5000)}:1\r\n`)],
    ["that answers with huge numbers", always(":99999999999999999999999\r\n")],
    ["that promises more than it sends", always("$1000000\r\nabc")],
  ])("one %s is a store that is away", async (_, answer) => {
    const store = replica(await serverOf(answer));
    await eventually("it to be given up", () => (store.changes.length > 0 ? true : undefined));
    expect(store.isUp()).toBe(false);
    const limit = aLimit({ burst: 3, requests: 3 });
    const kinds = Array.from({ length: 4 }, () => chargeOne(store, limit).kind);
    expect(kinds).toEqual(["admitted", "admitted", "admitted", "limited"]);
  });
});
