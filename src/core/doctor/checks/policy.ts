import type { Check } from "../check.js";
import type { Mesh } from "../mesh.js";
import type { Node } from "../node.js";
import { workloads } from "../workload.js";

const skew: Check = {
  id: "policy-skew",
  severity: "error",
  looksFor:
    "replicas of extproc with different versions of the policy, or another than that of `-p`",
  why: "A caller's arm depends on which replica answers, and experiments mix two designs.",
  fix: "Give all the same file; /readyz of a replica that refused it lists the mistakes.",
  find: ({ replicas, expected }) => {
    const wanted = expected?.version ?? replicas[0]?.policyVersion;
    return replicas
      .filter(({ policyVersion }) => policyVersion !== wanted)
      .map(({ node, name, policyVersion }) => ({
        at: node,
        what: `${name} has policy ${policyVersion}, and ${expected === undefined ? "the first replica" : "the file"} is ${wanted ?? ""}`,
      }));
  },
};

const START: Node = { document: 0, path: [], value: undefined };

const nothing: Check = {
  id: "nothing-of-weir",
  severity: "error",
  looksFor: "an input in which nothing belongs to Weir",
  why: "There is nothing to find fault with, and that is no good sign.",
  fix: "Name the folder or cluster that holds the rendered policy, or the Envoy that clients come through.",
  find: (mesh) =>
    isWeirs(mesh) ? [] : [{ at: START, what: "no ext_proc filter, route or pod of Weir" }],
};

function isWeirs({ filters, routings, replicas, resources }: Mesh): boolean {
  return (
    filters.length + routings.length + replicas.length > 0 ||
    workloads(resources).some(({ runs }) => runs.length > 0)
  );
}

export const policyChecks: readonly Check[] = [skew, nothing];
