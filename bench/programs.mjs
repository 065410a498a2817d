/* global clearTimeout, setTimeout */
/** The processes of a run: each says on stdout that it is ready, and all end with the run. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { createInterface } from "node:readline";

/**
 * @typedef {object} Program
 * @property {number} pid
 * @property {Readonly<Record<string, unknown>>} ready  the JSON line with its addresses
 * @property {() => Promise<void>} stop  asks with SIGTERM and waits
 */

const STOP_TIMEOUT_MS = 5000;

/** @type {Set<import("node:child_process").ChildProcess>} */
const running = new Set();

/** Whatever ends this process ends them. */
process.once("exit", () => {
  for (const child of running) killWithChildren(child.pid);
});
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
]) {
  process.once(signal, () => process.exit(code));
}

/**
 * Spawns a program and keeps the end of what it writes on stderr for error messages.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: Readonly<Record<string, string>> }} options  env: in addition
 */
export function launch(command, args, { cwd, env = {} } = {}) {
  const child = spawn(command, args, {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    ...{ cwd, env: { ...environment(), ...env } },
  });
  child.stdout.resume();
  running.add(child);
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text) => {
    stderr = (stderr + text).slice(-10_000);
  });
  const closed = once(child, "close");
  closed.catch(() => undefined).finally(() => running.delete(child));
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
    // Some leave children behind, which keep its output open.
    const kill = setTimeout(() => killWithChildren(child.pid), STOP_TIMEOUT_MS);
    await closed;
    clearTimeout(kill);
  };
  return { child, closed, stop, stderr: () => stderr };
}

/** It leads a group of its own, unless it is long gone. */
function killWithChildren(pid) {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

/** Settings of the shell must not change what is measured. */
function environment() {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith("WEIR_")),
  );
}

/**
 * Starts a program and waits for its first line.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @returns {Promise<Program>}
 */
export async function start(command, args) {
  const { child, closed, stop, stderr } = launch(command, args);
  const lines = createInterface({ input: child.stdout });
  const ended = closed.then(([code]) => {
    throw new Error(
      `${command} ${args.join(" ")} ended with ${code} before it was ready:\n${stderr()}`,
    );
  });
  const [line] = await Promise.race([once(lines, "line"), ended]);
  return { pid: child.pid, ready: JSON.parse(line), stop };
}

/**
 * Runs a program to its end.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @returns {Promise<string>} what it wrote on stdout
 */
export async function output(command, args) {
  const { child, closed, stderr } = launch(command, args);
  let stdout = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    stdout += text;
  });
  const [code] = await closed;
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${code}:\n${stderr()}`);
  return stdout;
}
