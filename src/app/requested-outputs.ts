import { ServiceError } from "../core/error.js";
import { classesWanted } from "../core/serving/request-parameters.js";
import type { Parameters } from "../core/serving/request-parameters.js";
import type { RequestedOutput } from "./infer.js";

type NamedOutput = { readonly name: string; readonly parameters: Parameters };

/** The outputs that a request names, whatever wire it came over; undefined: it names none, and gets all. */
export function requestedOutputs(
  named: readonly NamedOutput[],
): readonly RequestedOutput[] | undefined {
  const seen = new Set<string>();
  const wanted = named.map(({ name, parameters }) => {
    const quoted = JSON.stringify(name);
    if (seen.has(name)) {
      throw new ServiceError("badRequest", `output ${quoted} is asked for twice`);
    }
    seen.add(name);
    refuseSharedMemory(`output ${quoted}`, parameters);
    return { name, classes: classesWanted(parameters) };
  });
  return wanted.length === 0 ? undefined : wanted;
}

/** Of an input or output: a region of shared memory stands in for its data. */
export function refuseSharedMemory(what: string, parameters: Parameters): void {
  if (!parameters.has("shared_memory_region")) return;
  throw new ServiceError("unsupported", `${what}: shared memory is not supported`);
}
