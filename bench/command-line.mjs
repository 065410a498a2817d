import process from "node:process";
import { Option } from "commander";
import { ServiceError } from "../dist/core/error.js";
import { EXIT, ExitError } from "../dist/processes/exit.js";

export function wholeNumber(flags, description, byDefault) {
  return new Option(flags, description).default(byDefault).argParser((text) => {
    const value = Number(text);
    if (Number.isSafeInteger(value) && value > 0) return value;
    throw new ExitError(EXIT.badConfiguration, `${flags}: ${text} is not a whole number above 0`);
  });
}

/** What can be known before the first figure. */
export function checkOptions({ write, rounds }) {
  if (write && rounds < 3) {
    throw new ExitError(
      EXIT.badConfiguration,
      "--write needs 3 rounds or more: fewer show no spread",
    );
  }
  if (process.platform !== "linux") {
    throw new ExitError(
      EXIT.unavailable,
      "the benchmark reads CPU times from /proc: run it on Linux",
    );
  }
}

export function say(line) {
  process.stderr.write(`${line}\n`);
}

/** Runs the program to its end, and tells with its exit code what went wrong. */
export async function runProgram(main) {
  try {
    await main();
  } catch (error) {
    const code = error instanceof ExitError ? error.code : undefined;
    const isMissing = error instanceof ServiceError && error.code === "dependencyDown";
    process.exitCode = code ?? (isMissing ? EXIT.unavailable : EXIT.internal);
    say(code !== undefined || isMissing ? error.message : error.stack);
  }
}
