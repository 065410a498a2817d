import { rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { makeDirectory } from "../adapters/system/make-directory.js";
import { EXIT, ExitError } from "./exit.js";

/** To a file, complete or absent: a reader never sees half of it. To standard output without one. */
export async function writeOutput(
  file: string | undefined,
  text: string,
  options: { readonly makesFolder?: boolean } = {},
): Promise<void> {
  if (file === undefined) {
    process.stdout.write(text);
    return;
  }
  try {
    if (options.makesFolder === true) makeDirectory(dirname(file));
    await writeFile(`${file}.partial`, text);
    await rename(`${file}.partial`, file);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const message = `${file} cannot be written: ${why}; name another folder with -o`;
    throw new ExitError(EXIT.unavailable, message);
  }
  process.stderr.write(`wrote ${file}\n`);
}
