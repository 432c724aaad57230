// Bundles the editor and writes the licenses of what is in it. make playground-assets calls it
// in a copy of this folder, with the folder to write to.
import {readdirSync, readFileSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {build} from "esbuild";

const target = process.argv[2];
const {metafile} = await build({
  entryPoints: ["src/editor.js"],
  outfile: join(target, "editor.js"),
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none", // they are in LICENSES.txt
  banner: {js: "// Bundled from hack/playground by make playground-assets; see LICENSES.txt."},
  metafile: true,
});

const bundled = new Set();
for (const [input, {bytesInOutput}] of Object.entries(metafile.outputs[Object.keys(metafile.outputs)[0]].inputs)) {
  const match = input.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\//);
  if (match && bytesInOutput > 0) bundled.add(match[1]);
}
const licenses = [...bundled].sort().map((name) => {
  const folder = join("node_modules", name);
  const {version, license} = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
  if (!file) throw new Error(`${name} has no license`);
  return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
});
writeFileSync(join(target, "LICENSES.txt"),
  "editor.js is made of these packages.\n\n" + licenses.join(`\n${"-".repeat(72)}\n\n`));
