import { constants } from "node:os";
import { setImmediate as nextTurn } from "node:timers/promises";
import { Command } from "commander";
import { runDemo } from "../../demo/run-demo.js";
import { EXIT, ExitError } from "../exit.js";

/** A shell reports a program that a signal ended as this plus the signal's number. */
const SIGNALLED = 128;

export function demoCommand(): Command {
  return new Command("demo")
    .description("Start Envoy, extproc and three pods with a real model, and show what they do.")
    .option("--once", "check the claims, print the table and stop")
    .action(async (options: { readonly once?: true }) => {
      const print = (line: string) => void process.stdout.write(`${line}\n`);
      const stop = new AbortController();
      for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
        // Again and again: a second Ctrl-C must not cut the clearing up short.
        process.on(signal, () => {
          stop.abort(new ExitError(SIGNALLED + constants.signals[signal], "demo stopped"));
        });
      }
      const { signal } = stop;
      const holds = await runDemo(print, { signal, once: options.once ?? false }).catch(
        async (error: unknown) => {
          // Ctrl-C ends the children as well, and their end may be seen before the signal is.
          await nextTurn();
          signal.throwIfAborted();
          throw error;
        },
      );
      if (!holds) process.exitCode = EXIT.internal;
    });
}
