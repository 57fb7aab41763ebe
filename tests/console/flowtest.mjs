// Runs a flow test with `tributary test`, which needs no database.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

// The file belongs into tests/flows beside the graph that it names.
export function passes(service, text) {
  mkdirSync(join(service.home, "tests/flows"), { recursive: true });
  const file = join("tests/flows", "purchasing.test.yaml");
  writeFileSync(join(service.home, file), text);
  const { status, stdout, stderr } = spawnSync(process.env.TRIBUTARY, ["test", file], { cwd: service.home, encoding: "utf8", env: service.environment });
  assert.equal(status, 0, `${stdout}\n${stderr}\n${text}`);
}
