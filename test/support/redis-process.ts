import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:fs";
import { access, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { Redis } from "ioredis";
import {
  cacheDirectory,
  exists,
  inScratchFolder,
  renameUnlessThere,
} from "../../src/adapters/toolchain/cache.js";
import { eventually } from "./envoy-process.js";

const run = promisify(execFile);
const REMEDY = "install redis-server 6.2 or newer, or put it on PATH";

type Program = { readonly path: string; readonly libraries: string | undefined };

/** `redis-server` on PATH, else Debian's package unpacked into the cache, which needs no root. */
export async function redisProgram(): Promise<Program> {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(folder, "redis-server");
    if (folder !== "" && (await isExecutable(path))) return { path, libraries: undefined };
  }
  const folder = join(cacheDirectory(), "redis-server");
  if (!(await exists(folder))) {
    try {
      await unpackDebianPackage(folder);
    } catch (error) {
      throw new Error(`no redis-server found, and none could be fetched: ${REMEDY}`, {
        cause: error,
      });
    }
  }
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

/** With every package that it needs and this machine lacks. */
async function unpackDebianPackage(folder: string): Promise<void> {
  await inScratchFolder(cacheDirectory(), async (scratch) => {
    const packages = await missingPackages().catch(async () => {
      // A fresh machine may not know any package yet.
      await run("apt-get", ["update"]);
      return missingPackages();
    });
    await run("apt-get", ["download", ...packages], { cwd: scratch });
    const root = join(scratch, "root");
    for (const file of (await readdir(scratch)).filter((name) => name.endsWith(".deb"))) {
      await run("dpkg", ["--extract", join(scratch, file), root]);
    }
    await renameUnlessThere(root, folder);
  });
}

async function missingPackages(): Promise<readonly string[]> {
  const { stdout } = await run("apt-get", ["install", "--simulate", "redis-server"]);
  return [...stdout.matchAll(/^Inst (\S+)/gm)].flatMap(([, name]) => name ?? []);
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
export async function startRedis(...settings: readonly string[]): Promise<RedisProcess> {
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
      ...{ env, stdio: "ignore" },
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
