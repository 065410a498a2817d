import type { Experiment } from "../../schema/experiment.js";
import type { Policy } from "../../schema/policy.js";
import type { PolicyIssue } from "../../schema/policy-issue.js";

/** What is allowed and probably not meant. */
export function policyWarnings(policy: Policy): readonly PolicyIssue[] {
  return [...correlatedExperiments(policy), ...versionsWithoutRegion(policy)];
}

/**
 * FNV-1a modulo a small number keeps only its low bits, so experiments with similar names put the
 * same units in the same arms (measured: phi up to 1.0). One layer keeps them apart.
 */
function correlatedExperiments({ experiments }: Policy): PolicyIssue[] {
  const byUnit = new Map<string, Correlated>();
  return experiments.flatMap((experiment, at) => {
    if (experiment.hash !== "fnv1a32-mod") return [];
    const { unit } = experiment;
    const before = byUnit.get(unit);
    byUnit.set(unit, withExperiment(before, experiment));
    const other = [before?.first, before?.elsewhere].find(
      (one) => one !== undefined && sharesUnits(one, experiment),
    );
    return other === undefined
      ? []
      : [
          {
            path: ["experiments", at, "hash"],
            message: `fnv1a32-mod correlates ${JSON.stringify(experiment.name)} with ${JSON.stringify(other.name)} on unit ${JSON.stringify(unit)}: use fnv1a32-fmix, or put both in one layer`,
          },
        ];
  });
}

/** The first experiment on a unit, and the first that no layer keeps apart from it. */
type Correlated = { readonly first: Experiment; readonly elsewhere: Experiment | undefined };

function withExperiment(before: Correlated | undefined, experiment: Experiment): Correlated {
  if (before === undefined) return { first: experiment, elsewhere: undefined };
  const { first, elsewhere } = before;
  return {
    first,
    elsewhere: elsewhere ?? (sharesUnits(first, experiment) ? experiment : undefined),
  };
}

/** Only one layer keeps two experiments from sharing a unit. */
function sharesUnits(left: Experiment, right: Experiment): boolean {
  return left.layer === undefined || left.layer.name !== right.layer?.name;
}

function versionsWithoutRegion({ models, residency }: Policy): PolicyIssue[] {
  if (residency.length === 0) return [];
  return models.flatMap((model, at) =>
    model.versions.flatMap((version, index) =>
      version.region === undefined
        ? [
            {
              path: ["models", at, "versions", index],
              message: `version ${JSON.stringify(version.name)} has no region, so it never serves a request that a residency rule applies to: declare its region`,
            },
          ]
        : [],
    ),
  );
}
