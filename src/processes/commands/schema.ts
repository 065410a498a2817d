import { Argument, Command } from "commander";
import { DOCUMENT_NAMES, jsonSchemaOf } from "../../schema/reference/json-schema.js";
import type { DocumentName } from "../../schema/reference/json-schema.js";
import { referencePage } from "../../schema/reference/reference-page.js";

export function schemaCommand(): Command {
  return new Command("schema")
    .description("Print the JSON Schema of a document that operators write, for editors.")
    .addArgument(new Argument("<document>", "which document").choices(DOCUMENT_NAMES))
    .option("--markdown", "print the reference page instead")
    .action((name: DocumentName, options: { readonly markdown?: true }) => {
      const schema = jsonSchemaOf(name);
      process.stdout.write(
        options.markdown
          ? referencePage(`${name}.yaml`, schema)
          : `${JSON.stringify(schema, null, 2)}\n`,
      );
    });
}
