import eslint from "@eslint/js";
import tseslint from "typescript-eslint";

/**
 * The architecture: which folders of src each folder may import, bottom up.
 * Adapters and servers see the application only through app/ports and what app exports;
 * they meet each other nowhere but in processes.
 */
const MAY_IMPORT = {
  schema: [],
  core: ["schema"],
  simulation: ["core"],
  app: ["schema", "core"],
  adapters: ["schema", "core", "gen"],
  servers: ["schema", "core", "app", "gen"],
  demo: ["schema", "core", "app", "adapters"],
  processes: ["schema", "core", "app", "adapters", "servers", "demo", "gen"],
};
const FOLDERS = [...Object.keys(MAY_IMPORT), "gen"];

const importDirection = Object.entries(MAY_IMPORT).map(([folder, allowed]) => {
  const banned = FOLDERS.filter((other) => other !== folder && !allowed.includes(other));
  const patterns = banned.map((other) => ({
    group: [
      `**/${other}/**`,
      ...(folder === "adapters" && other === "app"
        ? ["!**/app/ports.js", "!**/app/model-ports.js"]
        : []),
    ],
    message: `${folder} may import only: ${[folder, ...allowed].join(", ")} (ARCHITECTURE.md, import table).`,
  }));
  const pure = ["core", "schema", "simulation"].includes(folder);
  const node = {
    group: ["node:*"],
    message: `${folder} is pure: take what you need as an argument.`,
  };
  return {
    files: [`src/${folder}/**/*.ts`],
    rules: {
      "no-restricted-imports": ["error", { patterns: pure ? [...patterns, node] : patterns }],
    },
  };
});

const ambient = [
  ["Date", "now", "Take nowMs as an argument, or a Clock port."],
  ["Math", "random", "Take randomness as an argument, or a Random port."],
].map(([object, property, message]) => ({ object, property, message }));

export default tseslint.config(
  { ignores: ["dist", "src/gen", "coverage", "node_modules", "bench/**/*.go"] },
  eslint.configs.recommended,
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: {
        projectService: { allowDefaultProject: ["eslint.config.js"] },
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      "max-lines": ["error", { max: 300, skipBlankLines: true, skipComments: true }],
      "max-lines-per-function": ["error", { max: 60, skipBlankLines: true, skipComments: true }],
      "no-console": "error",
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/consistent-type-definitions": ["error", "type"],
      "@typescript-eslint/restrict-template-expressions": [
        "error",
        { allowNumber: true, allowBoolean: true },
      ],
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
    },
  },
  ...importDirection,
  {
    files: ["src/**/*.ts"],
    ignores: ["src/adapters/system/**"],
    rules: { "no-restricted-properties": ["error", ...ambient] },
  },
  {
    files: ["eslint.config.js", "**/*.mjs", "**/*.js"],
    extends: [tseslint.configs.disableTypeChecked],
  },
  {
    files: ["test/**/*.ts", "bench/**"],
    rules: {
      "max-lines-per-function": "off",
      "@typescript-eslint/no-non-null-assertion": "off",
      "no-console": "off",
    },
  },
);
