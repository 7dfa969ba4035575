// Runs a piece of code as a notebook does: the value of the last expression is a result.
"use strict";

const fs = require("fs");
const path = require("path");
const util = require("util");
const vm = require("vm");
const { createRequire } = require("module");

const folder = process.argv[2];
const source = fs.readFileSync(path.join(folder, "main.js"), "utf8");
const outcome = { results: [], error: null };

function finish() {
  fs.writeFileSync(path.join(folder, "result.json"), JSON.stringify(outcome));
}

// The stack without the part of this driver and of Node itself.
function ownFrames(stack) {
  const foreign = (line) => /^\s+at /.test(line) && (line.includes(folder) || /\bnode:/.test(line));
  return stack.split("\n").filter((line) => !foreign(line)).join("\n");
}

function fail(error) {
  outcome.error = error instanceof Error || (error && error.stack) ? ownFrames(String(error.stack)) : util.inspect(error);
  process.exitCode = 1;
}

function show(value) {
  if (value === undefined) return;
  const result = { "text/plain": typeof value === "string" ? value : util.inspect(value), isMainResult: true };
  outcome.results.push(result);
}

// The code, if it is one expression that waits.
function asExpression() {
  try {
    const expression = source.trim().replace(/;+$/, "");
    return new vm.Script(`(async () => (\n${expression}\n))()`, { filename: "code.js", lineOffset: -1 });
  } catch {
    return null;
  }
}

async function asModule() {
  const file = path.join(folder, "main.mjs");
  fs.writeFileSync(file, source);
  await import(file);
}

async function run() {
  process.argv.splice(1, 2);
  globalThis.require = createRequire(path.join(process.cwd(), "code.js"));
  globalThis.module = { exports: {} };
  globalThis.exports = globalThis.module.exports;
  let script;
  try {
    script = new vm.Script(source, { filename: "code.js", importModuleDynamically: vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER });
  } catch (error) {
    // What waits or imports on its top level is a module.
    if (!(error instanceof SyntaxError && /\b(await|import|export)\b/.test(source))) throw error;
    script = asExpression();
    if (!script) return asModule();
  }
  const value = script.runInThisContext();
  show(value instanceof Promise ? await value : value);
}

process.on("exit", finish);
process.on("uncaughtException", fail);
process.on("unhandledRejection", fail);
run().catch(fail);
