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
 */

/** @type {readonly Setup[]} */
export const SETUPS = [
  { name: "none", title: "no ext_proc", server: "none", policy: smallPolicy, isLogged: false },
  { name: "go", title: "Go, minimal", server: "go", policy: smallPolicy, isLogged: false },
  { name: "weir", title: "weir", server: "weir", policy: smallPolicy, isLogged: false },
  { name: "logged", title: "weir, logged", server: "weir", policy: smallPolicy, isLogged: true },
  { name: "large", title: "weir, large", server: "weir", policy: largePolicy, isLogged: false },
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
  const server = await startServer(setup, lab, folder, policyFile);
  const config = await renderedConfig(policyFile, server?.address);
  const envoy = await startEnvoy(lab.envoy, folder, config);
  const stop = async () => {
    await envoy.stop();
    await server?.stop();
  };
  return { setup, server, envoy, stop };
}

async function startServer(setup, lab, folder, policyFile) {
  if (setup.server === "none") return undefined;
  if (setup.server === "go") {
    const { pid, ready, stop } = await start(lab.goExtproc, []);
    return { pid, stop, address: ready.address };
  }
  const { pid, ready, stop } = await start(lab.node, [
    ...[...lab.nodeFlags, CLI, "extproc", "-p", policyFile, "--log-level", "warn"],
    ...["--grpc-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"],
    ...["--drain-ms", "0", "--finish-ms", "1000", "--transport", lab.transport],
    ...(setup.isLogged ? ["--log-dir", join(folder, "log")] : []),
  ]);
  return { pid, stop, address: ready.grpc, admin: ready.admin };
}
