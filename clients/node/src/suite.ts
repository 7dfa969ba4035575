// The contract suite in Node. One line of JSON for each case of the list that CONTRACT names.
import { readFileSync } from "node:fs";

import { cases, type Case } from "./cases";
import { closeAll } from "./world";

async function run(wanted: Case): Promise<string | null> {
  const function_ = Object.hasOwn(cases, wanted.name) ? cases[wanted.name] : undefined;
  if (!function_) {
    return "the suite has no such case";
  }
  try {
    await function_(wanted);
    return null;
  } catch (error) {
    console.error(error);
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  }
}

async function main() {
  const contract: { cases: Case[] } = JSON.parse(readFileSync(process.env.CONTRACT!, "utf8"));
  for (const wanted of contract.cases) {
    const start = performance.now();
    const error = await run(wanted);
    console.log(JSON.stringify({ case: wanted.name, error, ms: Math.round(performance.now() - start) }));
  }
  closeAll();
}

main();
