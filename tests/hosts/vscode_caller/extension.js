// Calls tools of one MCP server through VS Code itself, as its chat would, and writes down what it was told.
// `steps.json` in the home directory says which; the answers go to `said.json` beside it.
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const vscode = require("vscode");

const at = (name) => path.join(os.homedir(), name);

async function called(step) {
  const tool = vscode.lm.tools.find((one) => one.name.endsWith(`rootcellar_${step.tool}`));
  const given = { input: step.arguments, toolInvocationToken: undefined };
  try {
    const result = await vscode.lm.invokeTool(tool.name, given);
    return { text: result.content.map((part) => part.value ?? "").join("\n") };
  } catch (error) {
    return { text: String(error.message), failed: true };
  }
}

exports.activate = async () => {
  const steps = JSON.parse(fs.readFileSync(at("steps.json"), "utf8"));
  const known = () => vscode.lm.tools.filter((tool) => tool.name.includes("rootcellar"));
  while (known().length === 0) await new Promise((resolve) => setTimeout(resolve, 200));
  const answers = [];
  for (const step of steps) answers.push(await called(step));
  const said = { tools: known().map((tool) => tool.name), answers };
  fs.writeFileSync(at("said.new"), JSON.stringify(said));
  fs.renameSync(at("said.new"), at("said.json"));
};
