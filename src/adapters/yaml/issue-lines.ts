import type { YamlText } from "./read-yaml.js";

type Issue = { readonly path: readonly (string | number)[]; readonly message: string };

/** `file:line:column path: message` for each issue, in the order of the file. */
export function issueLines(locate: YamlText["locate"], issues: readonly Issue[]): string[] {
  return issues
    .map(({ path, message }) => `${locate(path)} ${pathText(path)}${message}`)
    .sort(byPosition);
}

/** So that an operator can work from top to bottom. */
function byPosition(left: string, right: string): number {
  const [leftLine = 0, leftColumn = 0] = positionIn(left);
  const [rightLine = 0, rightColumn = 0] = positionIn(right);
  return leftLine - rightLine || leftColumn - rightColumn;
}

function positionIn(line: string): readonly number[] {
  return (/:(\d+):(\d+) /.exec(line) ?? []).slice(1).map(Number);
}

/** `experiments[0].arms[1]: `; empty for the document itself. */
function pathText(path: Issue["path"]): string {
  const text = path.map((step) => (typeof step === "number" ? `[${step}]` : `.${step}`)).join("");
  return text === "" ? "" : `${text.replace(/^\./, "")}: `;
}
