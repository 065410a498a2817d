import { CHECKS } from "./checks.js";
import type { Check } from "./check.js";

/** A Markdown page of everything that is looked for. */
export function findingsPage(): string {
  const count = Object.values(CHECKS).flat().length;
  return [
    "# Findings of weir doctor",
    "",
    `Generated from the code; do not edit. ${count} checks; [doctor.md](../doctor.md) says how to run them.`,
    "",
    ...Object.entries(CHECKS).flatMap(([part, checks]) => [
      `## ${part}`,
      "",
      ...checks.flatMap(entry),
    ]),
  ].join("\n");
}

const entry = ({ id, severity, looksFor, why, fix }: Check) => [
  `### ${id}`,
  "",
  `_${severity}_: ${looksFor}.`,
  "",
  `- Why: ${why}`,
  `- Fix: ${fix}`,
  "",
];
