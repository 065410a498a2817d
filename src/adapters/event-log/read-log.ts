import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { z } from "zod";
import { ServiceError } from "../../core/error.js";
import {
  ASSIGNMENT_SCHEMA,
  AssignmentEvent,
  PREDICTION_SCHEMA,
  PredictionEvent,
} from "../../schema/events.js";

const LoggedEvent = z.discriminatedUnion("schema", [AssignmentEvent, PredictionEvent]);
export type LoggedEvent = z.infer<typeof LoggedEvent>;

const MAX_LINE_LENGTH = 4 * 1024 * 1024;

type Place = { readonly file: string; readonly lineNumber: number; readonly line: string };
export type LoggedLine =
  | (Place & { readonly kind: "event"; readonly event: LoggedEvent })
  /** The end of a segment whose writer was killed while it wrote. */
  | (Place & { readonly kind: "torn" })
  | (Place & { readonly kind: "invalid"; readonly issue: string });

/** Reads log files, and the .jsonl files of directories, in the order of their names. */
export async function* readJsonlLog(paths: readonly string[]): AsyncGenerator<LoggedLine> {
  for (const file of await filesOf(paths)) yield* linesOf(file);
}

/** Each file once, however often it is named: a line that is read twice looks like a fault. */
async function filesOf(paths: readonly string[]): Promise<ReadonlySet<string>> {
  const files = new Set<string>();
  for (const path of paths.map((each) => resolve(each))) {
    const found = await stat(path).catch((cause: unknown) => {
      const why = cause instanceof Error ? cause.message : String(cause);
      const message = `log ${JSON.stringify(path)} cannot be read: ${why}`;
      throw new ServiceError("notFound", message, { cause });
    });
    if (!found.isDirectory()) files.add(path);
    else {
      const names = (await readdir(path)).filter((name) => name.endsWith(".jsonl"));
      for (const name of names.sort()) files.add(join(path, name));
    }
  }
  return files;
}

async function* linesOf(file: string): AsyncGenerator<LoggedLine> {
  let lineNumber = 0;
  let rest = "";
  for await (const text of createReadStream(file, "utf8") as AsyncIterable<string>) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > MAX_LINE_LENGTH) {
      throw new ServiceError(
        "tooLarge",
        `${file}:${lineNumber + lines.length + 1} is over ${MAX_LINE_LENGTH} characters: this is no event log`,
      );
    }
    for (const line of lines) {
      lineNumber += 1;
      if (line !== "") yield lineAt({ file, lineNumber, line });
    }
  }
  if (rest === "") return;
  const place = { file, lineNumber: lineNumber + 1, line: rest };
  // Whole JSON without its newline is a whole event: its closing brace was written last.
  yield parseJson(rest) === undefined ? { ...place, kind: "torn" } : lineAt(place);
}

function lineAt(place: Place): LoggedLine {
  const json = parseJson(place.line);
  if (json === undefined) return { ...place, kind: "invalid", issue: "the line is not JSON" };
  const result = LoggedEvent.safeParse(json);
  return result.success
    ? { ...place, kind: "event", event: result.data }
    : { ...place, kind: "invalid", issue: issueOf(json, result.error) };
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch {
    return undefined;
  }
}

function issueOf(json: unknown, error: z.ZodError): string {
  const schema = z.object({ schema: z.unknown() }).safeParse(json).data?.schema;
  if (schema !== ASSIGNMENT_SCHEMA && schema !== PREDICTION_SCHEMA) {
    const known = `${ASSIGNMENT_SCHEMA} and ${PREDICTION_SCHEMA}`;
    return `schema ${JSON.stringify(schema)} is unknown: this version of Weir reads ${known}`;
  }
  return error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ");
}
