#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { ServiceError } from "../core/error.js";
import { checkCommand } from "./commands/check.js";
import { demoCommand } from "./commands/demo.js";
import { doctorCommand } from "./commands/doctor.js";
import { decideCommand } from "./commands/decide.js";
import { exposuresCommand } from "./commands/exposures.js";
import { importCommand } from "./commands/import.js";
import { renderCommand } from "./commands/render.js";
import { replayCommand } from "./commands/replay.js";
import { schemaCommand } from "./commands/schema.js";
import { extprocCommand } from "./commands/extproc.js";
import { serveCommand } from "./commands/serve.js";
import { overrideCommand } from "./commands/override.js";
import { EXIT, ExitError } from "./exit.js";
import { packageVersion } from "./version.js";

const program = new Command("weir")
  .description("Experiments, shadows and rate limits for model-serving traffic in a service mesh.")
  .version(packageVersion())
  .addCommand(extprocCommand())
  .addCommand(serveCommand())
  .addCommand(demoCommand())
  .addCommand(checkCommand())
  .addCommand(decideCommand())
  .addCommand(overrideCommand())
  .addCommand(schemaCommand())
  .addCommand(replayCommand())
  .addCommand(renderCommand())
  .addCommand(doctorCommand())
  .addCommand(exposuresCommand())
  .addCommand(importCommand());

/** Commands that are added do not inherit these settings. */
function settle(command: Command): void {
  command.exitOverride().showHelpAfterError("(run with --help for the options)");
  command.commands.forEach(settle);
}
settle(program);

// A reader that has seen enough, such as head, is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.internal);
});

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}

function report(error: unknown): number {
  if (error instanceof CommanderError) {
    return error.exitCode === 0 ? EXIT.ok : EXIT.badConfiguration;
  }
  if (error instanceof ExitError) {
    process.stderr.write(`${error.message}\n`);
    return error.code;
  }
  if (error instanceof ServiceError) {
    process.stderr.write(`${error.message}\n`);
    if (error.code === "dependencyDown") return EXIT.unavailable;
    return error.code === "internal" ? EXIT.internal : EXIT.badConfiguration;
  }
  process.stderr.write(
    `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  return EXIT.internal;
}
