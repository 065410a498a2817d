import { armRanges, isCumulative } from "../experiment.js";
import type { ArmRange as Range, Experiment } from "../experiment.js";
import type { PolicyIssue } from "../policy-issue.js";
import type { Item } from "../policy-parts.js";
import { BUCKET_COUNT } from "../values.js";
import { issue, quoted } from "./issue.js";
import type { Issues } from "./issue.js";

/** Arms of one experiment have unique names and disjoint ranges inside the 10,000 buckets. */
export function armRules(experiment: Item<Experiment>): Issues {
  const { arms } = experiment.value;
  const total = arms.reduce((sum, arm) => sum + arm.share, 0);
  if (total > BUCKET_COUNT) {
    const message = `the shares add up to ${total} basis points, over 10000, which is everyone: lower them`;
    return [issue(experiment, ["arms"], message)];
  }
  const ranges = armRanges(experiment.value);
  return ranges.flatMap((range, at) => rangeRules(experiment, ranges, range, at));
}

function rangeRules(
  experiment: Item<Experiment>,
  ranges: readonly Range[],
  { name, from, to }: Range,
  at: number,
): Issues {
  const { arms, hash } = experiment.value;
  const before = ranges.slice(0, at);
  const found: PolicyIssue[] = [];
  const report = (path: readonly string[], message: string) =>
    found.push(issue(experiment, ["arms", at, ...path], message));
  if (before.some((other) => other.name === name)) {
    report(["name"], `arm ${quoted(name)} is there twice: names must be unique`);
  }
  if (isCumulative(hash) && arms[at]?.start !== undefined) {
    report(
      ["start"],
      `hash ${hash} cuts cumulative weights and has no start: remove it, or use fnv1a32-fmix`,
    );
  }
  if (to > BUCKET_COUNT) {
    report([], `arm ${quoted(name)} ends at ${to}, past 10000: lower its start or share`);
  }
  const other = before.find((one) => from < one.to && one.from < to);
  if (other !== undefined) {
    report(
      [],
      `arm ${quoted(name)} [${from}, ${to}) overlaps arm ${quoted(other.name)} [${other.from}, ${other.to}): move start or lower share`,
    );
  }
  return found;
}
