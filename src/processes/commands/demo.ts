import { Command } from "commander";
import { runDemo } from "../../demo/run-demo.js";
import { EXIT, ExitError } from "../exit.js";

/** As a shell reports a program that Ctrl-C ended. */
const INTERRUPTED = 130;

export function demoCommand(): Command {
  return new Command("demo")
    .description("Start Envoy, extproc and three pods with a real model, and show what they do.")
    .option("--once", "check the claims, print the table and stop")
    .action(async (options: { readonly once?: true }) => {
      const print = (line: string) => void process.stdout.write(`${line}\n`);
      const stop = new AbortController();
      for (const signal of ["SIGINT", "SIGTERM"] as const) {
        process.once(signal, () => {
          stop.abort(new ExitError(INTERRUPTED, "demo stopped"));
        });
      }
      const holds = await runDemo(print, { signal: stop.signal, once: options.once ?? false });
      if (!holds) process.exitCode = EXIT.internal;
    });
}
