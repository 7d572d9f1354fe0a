// The official clients of Ollama, OpenAI and Anthropic for Node, unchanged, against one server.
// Usage: node check.mjs URL. Says what went wrong, and ends with a code that is not 0.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import path from "node:path";

const [url, modules] = process.argv.slice(2);
const require = createRequire(path.join(modules, "package.json"));
const load = async (name) => await import(pathToFileURL(require.resolve(name)).href);

const { Ollama } = await load("ollama");
const { default: OpenAI } = await load("openai");
const { default: Anthropic } = await load("@anthropic-ai/sdk");

const QUESTION = "What is the capital of France?";
const ANSWER = "The capital of France is Paris.";
const messages = [{ role: "user", content: QUESTION }];
const tool = {
  type: "function",
  function: {
    name: "get_weather",
    description: "Current weather in a city",
    parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  },
};
const weather = [{ role: "user", content: "What is the weather in Lyon?" }];

const ollama = new Ollama({ host: url });
const options = { temperature: 0 };

assert.equal((await ollama.chat({ model: "tiny", messages, options })).message.content, ANSWER);
let streamed = "";
for await (const part of await ollama.chat({ model: "tiny", messages, options, stream: true })) {
  streamed += part.message.content;
}
assert.equal(streamed, ANSWER);
assert.equal((await ollama.generate({ model: "tiny", prompt: QUESTION, options })).response, ANSWER);
const called = await ollama.chat({ model: "tiny", messages: weather, tools: [tool], options });
assert.deepEqual(called.message.tool_calls[0].function.arguments, { city: "Lyon" });
assert.equal((await ollama.embed({ model: "tiny", input: ["a", "b"] })).embeddings.length, 2);
assert.ok((await ollama.list()).models.some((model) => model.name === "tiny:latest"));
assert.ok((await ollama.show({ model: "tiny" })).model_info["general.architecture"]);
assert.ok((await ollama.ps()).models.length > 0);
await ollama.create({ model: "made", from: "tiny", system: "Be short." });
await ollama.copy({ source: "made", destination: "other" });
await ollama.delete({ model: "made" });
await ollama.delete({ model: "other" });
await assert.rejects(ollama.chat({ model: "nothing", messages }), /not found/);
const format = { type: "array", items: { type: "integer" }, minItems: 100_000 };
const endless = { model: "tiny", prompt: "Hello", format, options: { temperature: 5 } };
const ended = await ollama.generate({ ...endless, stream: true });
await assert.rejects(async () => {
  for await (const part of ended) ended.abort(part);
}, /abort/i);

const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none" });
const asked = { model: "tiny", messages, temperature: 0 };
assert.equal((await openai.chat.completions.create(asked)).choices[0].message.content, ANSWER);
streamed = "";
for await (const part of await openai.chat.completions.create({ ...asked, stream: true })) {
  streamed += part.choices[0]?.delta?.content ?? "";
}
assert.equal(streamed, ANSWER);
const response = await openai.responses.create({ model: "tiny", input: QUESTION, temperature: 0 });
assert.equal(response.output_text, ANSWER);
const vectors = await openai.embeddings.create({ model: "tiny", input: "a" });
assert.ok(Math.abs(Math.hypot(...vectors.data[0].embedding) - 1) < 1e-3);
assert.ok((await openai.models.list()).data.some((model) => model.id === "tiny:latest"));
await assert.rejects(openai.chat.completions.create({ ...asked, model: "nothing" }), /not found/);

const anthropic = new Anthropic({ baseURL: url, apiKey: "none" });
const wanted = { model: "tiny", max_tokens: 60, messages, temperature: 0 };
assert.equal((await anthropic.messages.create(wanted)).content[0].text, ANSWER);
assert.equal(await anthropic.messages.stream(wanted).finalText(), ANSWER);
assert.ok((await anthropic.messages.countTokens({ model: "tiny", messages })).input_tokens > 0);

console.log("all clients are content");
process.exit(0);
