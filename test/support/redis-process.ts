import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:fs";
import { access, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { Redis } from "ioredis";
import { debianPackage } from "./debian-package.js";
import { eventually } from "./envoy-process.js";

const run = promisify(execFile);

type Program = { readonly path: string; readonly libraries: string | undefined };

/** `redis-server` on PATH, else Debian's package unpacked into the cache, which needs no root. */
export async function redisProgram(): Promise<Program> {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(folder, "redis-server");
    if (folder !== "" && (await isExecutable(path))) return { path, libraries: undefined };
  }
  const folder = await debianPackage("redis-server");
  const [architecture = ""] = await readdir(join(folder, "usr", "lib"));
  return {
    path: join(folder, "usr", "bin", "redis-server"),
    libraries: join(folder, "usr", "lib", architecture),
  };
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

export type RedisProcess = {
  /** For `--redis-url`; stays the same when the server is started again. */
  readonly url: string;
  readonly socket: string;
  signal(name: "SIGSTOP" | "SIGCONT"): void;
  /** Ends it at once, with all it holds. */
  kill(): Promise<void>;
  start(): Promise<void>;
  cli(...args: readonly string[]): Promise<string>;
  stop(): Promise<void>;
};

/** A server of its own on a Unix socket, without persistence; further settings as in redis.conf. */
export const startRedis = (...settings: readonly string[]) => startRedisIn({}, ...settings);

/** @param environment  of the server, besides that of the tests */
export async function startRedisIn(
  environment: Readonly<Record<string, string>>,
  ...settings: readonly string[]
): Promise<RedisProcess> {
  const program = await redisProgram();
  const folder = await mkdtemp(join(tmpdir(), "weir-redis-"));
  const socket = join(folder, "redis.sock");
  const env = { ...process.env, ...librariesOf(program) };
  let child: ChildProcess | undefined;
  const cli = async (...args: readonly string[]) => {
    const path =
      program.libraries === undefined ? "redis-cli" : program.path.replace(/server$/, "cli");
    return (await run(path, ["-s", socket, ...args], { env })).stdout.trim();
  };
  const start = async () => {
    const persistence = settings.includes("--sentinel") ? [] : ["--save", "", "--appendonly", "no"];
    const flags = ["--dir", folder, "--unixsocket", socket, ...persistence];
    const port =
      settings.includes("--port") || settings.includes("--tls-port") ? [] : ["--port", "0"];
    // Sentinels keep their state in a file of settings, and do not start without one.
    const file = join(folder, "redis.conf");
    await writeFile(file, "");
    const started = spawn(program.path, [file, ...flags, ...port, ...settings], {
      ...{ env: { ...env, ...environment }, stdio: "ignore" },
    });
    child = started;
    await eventually("redis-server to answer", async () => {
      if (started.exitCode !== null) throw new Error(`redis-server ended with ${started.exitCode}`);
      // One with a password answers NOAUTH, and is up as well.
      const reply = await cli("PING").catch(() => "");
      return /PONG|NOAUTH/.test(reply) ? true : undefined;
    });
  };
  const kill = async () => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  };
  await start();
  return {
    ...{ url: `redis+unix://${socket}`, socket, start, kill, cli },
    signal: (name) => child?.kill(name),
    stop: async () => {
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A port that is free now; the server that gets it is started at once. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function librariesOf({ libraries }: Program): Readonly<Record<string, string>> {
  return libraries === undefined ? {} : { LD_LIBRARY_PATH: libraries };
}

export type TestRedis = { readonly client: Redis; stop(): Promise<void> };

/** The server of `REDIS_URL`, which keeps running, or one of our own. */
export async function connectToRedis(): Promise<TestRedis> {
  const url = process.env["REDIS_URL"];
  if (url !== undefined && url !== "") {
    const client = new Redis(url, { keyPrefix: "weir-test:" });
    return {
      client,
      stop: async () => {
        await client.quit();
      },
    };
  }
  const server = await startRedis();
  const client = new Redis(server.socket);
  return {
    client,
    stop: async () => {
      client.disconnect();
      await server.stop();
    },
  };
}
