/** What is compared: the same Envoy with nothing, the Go server or weir extproc behind its filter. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import { CLI, renderedConfig, startEnvoy } from "./envoy.mjs";
import { largePolicy, smallPolicy } from "./policies.mjs";
import { start } from "./programs.mjs";

/**
 * @typedef {object} Setup
 * @property {string} name
 * @property {string} title  heading of its column
 * @property {"none" | "go" | "weir"} server
 * @property {(port: number) => object} policy
 * @property {boolean} isLogged  assignments go to a file
 * @property {number} [replicas]  of the server; default: 1
 */

const WEIR = { server: "weir", policy: smallPolicy, isLogged: false };

/** @type {readonly Setup[]} */
export const SETUPS = [
  { name: "none", title: "no ext_proc", server: "none", policy: smallPolicy, isLogged: false },
  { name: "go", title: "Go, minimal", server: "go", policy: smallPolicy, isLogged: false },
  { ...WEIR, name: "weir", title: "weir" },
  { ...WEIR, name: "logged", title: "weir, logged", isLogged: true },
  { ...WEIR, name: "two", title: "weir, 2 replicas", replicas: 2 },
  { ...WEIR, name: "large", title: "weir, large", policy: largePolicy },
];

/**
 * @typedef {object} Lab
 * @property {string} folder        scratch; the run removes it
 * @property {string} envoy         Envoy's executable
 * @property {string} goExtproc     the Go server's
 * @property {string} node          Node's, for weir extproc
 * @property {readonly string[]} nodeFlags
 * @property {string} transport     weir extproc's
 * @property {number} upstreamPort  where every version of the model is
 */

/**
 * Starts the server of a setup, if it has one, and an Envoy before it.
 *
 * @param {Setup} setup
 * @param {Lab} lab
 */
export async function startSetup(setup, lab) {
  const folder = join(lab.folder, setup.name);
  await mkdir(folder, { recursive: true });
  const policyFile = join(folder, "policy.yaml");
  await writeFile(policyFile, stringify(setup.policy(lab.upstreamPort)));
  const servers = await startServers(setup, lab, folder, policyFile);
  const addresses = servers.map(({ address }) => address);
  const config = await renderedConfig(policyFile, addresses, setup.server === "weir");
  const envoy = await startEnvoy(lab.envoy, folder, config);
  const stop = async () => {
    await envoy.stop();
    for (const server of servers) await server.stop();
  };
  return { setup, servers, envoy, stop };
}

async function startServers(setup, lab, folder, policyFile) {
  if (setup.server === "none") return [];
  if (setup.server === "go") {
    const { pid, ready, stop } = await start(lab.goExtproc, []);
    return [{ pid, stop, address: ready.address }];
  }
  const startOne = async () => {
    const { pid, ready, stop } = await start(lab.node, [
      ...[...lab.nodeFlags, CLI, "extproc", "-p", policyFile, "--log-level", "warn"],
      ...["--grpc-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"],
      ...["--drain-ms", "0", "--finish-ms", "1000", "--transport", lab.transport],
      ...(setup.isLogged ? ["--log-dir", join(folder, "log")] : []),
    ]);
    return { pid, stop, address: ready.grpc, admin: ready.admin };
  };
  return Promise.all(Array.from({ length: setup.replicas ?? 1 }, startOne));
}
