import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "./cases.mjs";

const home = mkdtempSync(join(tmpdir(), "claude-"));
writeFileSync(join(home, "notes.txt"), "The river is high.\n");
const env = {
  PATH: process.env.PATH, HOME: home, ANTHROPIC_BASE_URL: process.env.CLIENT_URL,
  ANTHROPIC_AUTH_TOKEN: process.env.CLIENT_KEY, CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
  DISABLE_TELEMETRY: "1", DISABLE_AUTOUPDATER: "1", DISABLE_ERROR_REPORTING: "1", IS_SANDBOX: "1",
};

function claude(prompt, ...more) {
  const words = ["-p", prompt, "--output-format", "json", "--model", process.env.CLIENT_MODEL, ...more];
  const done = spawnSync(process.env.CLIENT_PROGRAM, words, { cwd: home, env, encoding: "utf8", timeout: 90_000 });
  const told = done.stdout?.startsWith("{") ? JSON.parse(done.stdout) : null;
  if (done.status !== 0) throw new Error(told?.result ?? `${done.stdout}${done.stderr}`);
  return told;
}

// It always streams, and always offers its tools.
await run("plain", () => claude("Hello").result);
await run("streaming", () => claude("Say hello again").result);
await run("tools", () => {
  const told = claude("Use Read on notes.txt", "--allowedTools", "Read");
  if (told.num_turns < 2) throw new Error(`no tool was used: ${JSON.stringify(told).slice(0, 300)}`);
  return `${told.num_turns} turns`;
});
// After a broken stream it asks once more without streaming; the simulator cuts that answer too.
await run("cut stream", () => claude("Write CUT words").result, true);
rmSync(home, { recursive: true, force: true });
