/* global fetch, performance */
/** The model servers that are compared, each started with one model on free ports of loopback. */
import { cp, mkdir, readdir, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath, URL } from "node:url";
import { stringify } from "yaml";
import { launch, start } from "../programs.mjs";
import { pythonEnvironment, pythonFile } from "./python-programs.mjs";

const CLI = fileURLToPath(new URL("../../dist/processes/cli.js", import.meta.url));
const START_TIMEOUT_MS = 60_000;

/**
 * @typedef {object} Contender
 * @property {string} name
 * @property {string} title
 * @property {"weir" | "triton" | "mlserver" | "litserve"} server
 * @property {number} instances
 * @property {number} threads  of each instance, for one run of the model
 */

/** A small model gains nothing by more threads; a large one has both cores in either way. */
export const CONTENDERS = {
  tabular: [
    contender("weir", 1, 1),
    contender("triton", 1, 1),
    contender("triton", 2, 1),
    contender("mlserver", 1, 1),
    contender("litserve", 1, 1),
  ],
  magika: [
    contender("weir", 1, 2),
    contender("weir", 2, 1),
    contender("triton", 1, 2),
    contender("triton", 2, 1),
    contender("mlserver", 1, 2),
    contender("litserve", 1, 2),
  ],
};

function contender(server, instances, threads) {
  const titles = { weir: "weir", triton: "Triton", mlserver: "MLServer", litserve: "LitServe" };
  const name = `${server}-${instances}x${threads}`;
  return { name, title: `${titles[server]} ${instances}x${threads}`, server, instances, threads };
}

/**
 * @typedef {object} Running
 * @property {number} pid
 * @property {string} http   HOST:PORT
 * @property {string} path   that takes the bodies
 * @property {"oip" | "litserve"} bodies
 * @property {string | undefined} grpc  HOST:PORT
 * @property {() => Promise<void>} stop
 */

/**
 * @param {Contender} one
 * @param {import("./models.mjs").Model} model
 * @param {string} folder  scratch, empty
 * @returns {Promise<Running>}
 */
export function startContender(one, model, folder, lab) {
  return STARTS[one.server](one, model, folder, lab);
}

const STARTS = {
  weir: startWeir,
  triton: startTriton,
  mlserver: startMlserver,
  litserve: startLitserve,
};

async function startWeir({ instances, threads }, model, folder, { node, nodeFlags }) {
  await mkdir(join(folder, model.name, "1"), { recursive: true });
  await symlink(model.file, join(folder, model.name, "1", "model.onnx"));
  const { input, output } = model;
  const manifest = {
    ...{ apiVersion: "weir.dev/v1", kind: "Model", maxBatchSize: 32, instances },
    ...{ intraOpThreads: threads },
    inputs: [{ name: input.name, datatype: input.datatype, shape: [-1, input.width] }],
    outputs: [{ name: output.name, datatype: "FP32", shape: [-1, output.width] }],
  };
  await writeFile(join(folder, model.name, "model.yaml"), stringify(manifest));
  const addresses = ["http", "grpc", "admin"].flatMap((wire) => [
    `--${wire}-address`,
    "127.0.0.1:0",
  ]);
  const args = ["serve", "-r", folder, "--drain-ms", "0", "--log-level", "warn", ...addresses];
  const { pid, ready, stop } = await start(node, [...nodeFlags, CLI, ...args]);
  const path = `/v2/models/${model.name}/infer`;
  return { pid, stop, http: ready.http, grpc: ready.grpc, admin: ready.admin, path, bodies: "oip" };
}

async function startTriton({ instances, threads }, model, folder, { say }) {
  const environment = await pythonEnvironment("triton", say);
  const version = await pythonVersion(environment);
  const site = join(environment, "lib", `python${version}`, "site-packages");
  const server = join(site, "pytriton", "tritonserver");
  const backends = join(folder, "backends");
  await cp(join(server, "backends"), backends, { recursive: true });
  const stub = "triton_python_backend_stub";
  await cp(join(server, "python_backend_stubs", version, stub), join(backends, "python", stub));
  const models = join(folder, "models");
  await mkdir(join(models, model.name, "1"), { recursive: true });
  await cp(pythonFile("triton_model.py"), join(models, model.name, "1", "model.py"));
  await writeFile(join(models, model.name, "config.pbtxt"), tritonConfig(model, instances));
  const [http, grpc, metrics] = await freePorts(3);
  const args = [
    ...[`--model-repository=${models}`, `--backend-directory=${backends}`],
    ...["--http-address=127.0.0.1", "--grpc-address=127.0.0.1", "--metrics-address=127.0.0.1"],
    ...[`--http-port=${http}`, `--grpc-port=${grpc}`, `--metrics-port=${metrics}`],
    ...["--allow-gpu-metrics=false", "--disable-auto-complete-config", "--log-info=false"],
  ];
  const libraries = join(site, "nvidia_pytriton.libs");
  const path = `${join(environment, "bin")}:${process.env["PATH"]}`;
  const env = {
    ...modelOf(model, threads),
    LD_LIBRARY_PATH: libraries,
    PATH: path,
    PYTHONPATH: site,
  };
  const program = await whenReady(
    launch(join(server, "bin", "tritonserver"), args, { env }),
    `http://127.0.0.1:${http}/v2/health/ready`,
  );
  return {
    ...program,
    ...{ http: `127.0.0.1:${http}`, grpc: `127.0.0.1:${grpc}` },
    ...{ path: `/v2/models/${model.name}/infer`, bodies: "oip" },
  };
}

const tritonConfig = ({ name, input, output }, instances) => `name: "${name}"
backend: "python"
max_batch_size: 32
input [ { name: "${input.name}" data_type: TYPE_${input.datatype} dims: [ ${input.width} ] } ]
output [ { name: "${output.name}" data_type: TYPE_FP32 dims: [ ${output.width} ] } ]
instance_group [ { count: ${instances} kind: KIND_CPU } ]
dynamic_batching { }
`;

async function startMlserver({ threads }, model, folder, { say }) {
  const environment = await pythonEnvironment("mlserver", say);
  const [http_port, grpc_port, metrics_port] = await freePorts(3);
  const ports = { http_port, grpc_port, metrics_port };
  const settings = { host: "127.0.0.1", ...ports, parallel_workers: 0, debug: false };
  const implementation = "mlserver_model.OnnxRuntime";
  await writeFile(join(folder, "settings.json"), JSON.stringify(settings));
  await writeFile(
    join(folder, "model-settings.json"),
    JSON.stringify({ name: model.name, implementation, parameters: { version: "1" } }),
  );
  await cp(pythonFile("mlserver_model.py"), join(folder, "mlserver_model.py"));
  const program = await whenReady(
    launch(join(environment, "bin", "mlserver"), ["start", "."], {
      ...{ cwd: folder, env: modelOf(model, threads) },
    }),
    `http://127.0.0.1:${http_port}/v2/models/${model.name}/ready`,
  );
  const http = `127.0.0.1:${http_port}`;
  return { ...program, http, path: `/v2/models/${model.name}/infer`, bodies: "oip" };
}

async function startLitserve({ threads }, model, folder, { say }) {
  const environment = await pythonEnvironment("litserve", say);
  const [port] = await freePorts(1);
  const env = { ...modelOf(model, threads), PORT: String(port), DISABLE_VERSION_CHECK: "1" };
  const program = await whenReady(
    launch(join(environment, "bin", "python"), [pythonFile("litserve_server.py")], {
      ...{ cwd: folder, env },
    }),
    `http://127.0.0.1:${port}/health`,
  );
  return { ...program, http: `127.0.0.1:${port}`, path: "/predict", bodies: "litserve" };
}

const modelOf = ({ file }, threads) => ({ MODEL: file, THREADS: String(threads) });

/** `3.11`: what the environment was made with. */
async function pythonVersion(environment) {
  const [folder] = await readdir(join(environment, "lib"));
  return folder.replace("python", "");
}

async function whenReady({ child, closed, stop, stderr }, url) {
  let isOver = false;
  closed.then(
    () => (isOver = true),
    () => (isOver = true),
  );
  const untilMs = performance.now() + START_TIMEOUT_MS;
  while (!isOver && performance.now() < untilMs) {
    const status = await fetch(url).then(
      (response) => response.status,
      () => 0,
    );
    if (status === 200) return { pid: child.pid, stop };
    await sleep(50);
  }
  await stop();
  throw new Error(`${child.spawnargs.join(" ")} was not ready in time:\n${stderr()}`);
}

/** They take no port 0. Another process could be faster, and then the start fails. */
async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = [];
  for (const server of servers) {
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    ports.push(server.address().port);
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
