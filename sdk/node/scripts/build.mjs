// TypeScript → dist/esm and dist/cjs, each with its types.
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
rmSync(join(root, "dist"), { recursive: true, force: true });
// The nearest package.json counts, for both.
const imports = {
  "#platform": { node: "./_runtime/platform/node.js", default: "./_runtime/platform/browser.js" },
};
for (const [format, module, type] of [
  ["esm", "esnext", "module"],
  ["cjs", "commonjs", "commonjs"],
]) {
  const out = join(root, "dist", format);
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, "package.json"), `${JSON.stringify({ type, sideEffects: false, imports })}\n`);
  execFileSync(process.execPath, [tsc, "--module", module, "--outDir", out], { cwd: root, stdio: "inherit" });
}
