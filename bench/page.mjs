import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath, URL } from "node:url";

const PAGE = fileURLToPath(new URL("../docs/benchmarks.md", import.meta.url));

/**
 * Puts a table into docs/benchmarks.md, between the marks of its name.
 *
 * @returns {Promise<string>} the page's path
 */
export async function writePage(name, markdown) {
  const page = await readFile(PAGE, "utf8");
  const begin = page.indexOf(`<!-- ${name}:begin -->\n`);
  const end = page.indexOf(`<!-- ${name}:end -->\n`);
  if (begin === -1 || end < begin) throw new Error(`${PAGE} has no marks named ${name}`);
  const head = page.slice(0, page.indexOf("\n", begin) + 1);
  await writeFile(PAGE, `${head}\n${markdown}\n${page.slice(end)}`);
  return PAGE;
}
