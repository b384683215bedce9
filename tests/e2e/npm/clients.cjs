// Runs one client from npm against the service: node clients.cjs NODE_MODULES CLIENT URL WORD.
// Printed is one JSON document: what the client made of the responses.
"use strict";

const { createRequire } = require("node:module");
const path = require("node:path");

const [modules, client, url, word] = process.argv.slice(2);
const load = createRequire(path.join(modules, "clients.cjs"));
const model = "scripted";
globalThis.AI_SDK_LOG_WARNINGS = false; // they go to stdout
const question = `Say ${word}.`;
const schema = { type: "object", properties: { word: { type: "string" } }, required: ["word"] };

async function openai() {
  const { OpenAI, NotFoundError } = load("openai");
  const sdk = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
  const tools = [{ type: "function", name: "say", parameters: schema, strict: true }];
  const whole = await sdk.responses.create({ model, input: "hi" });
  const events = [];
  const stream = sdk.responses.stream({ model, input: question, tools });
  for await (const event of stream) events.push(event.type);
  const first = await stream.finalResponse();
  const call = first.output.find((item) => item.type === "function_call");
  const result = { type: "function_call_output", call_id: call.call_id, output: word };
  const input = [{ role: "user", content: question }, ...first.output, result];
  const second = await sdk.responses.create({ model, input, tools });
  const count = await sdk.responses.inputTokens.count({ model, input: "hi" });
  const messages = [{ role: "user", content: "hi" }];
  const chat = await sdk.chat.completions.create({ model, messages });
  const pieces = [];
  for await (const chunk of await sdk.chat.completions.create({ model, messages, stream: true }))
    pieces.push(chunk.choices[0]?.delta?.content ?? "");
  const vectors = await sdk.embeddings.create({ model: "vectors", input: ["one", "two"] });
  const error = await sdk.responses.create({ model: "ghost", input: "hi" }).catch((each) => each);
  return {
    text: whole.output_text,
    kinds: first.output.map((item) => item.type),
    ends: [events[0], events.at(-1)],
    arguments: call.arguments,
    answer: second.output_text,
    counted: count.input_tokens > 0,
    vectors: vectors.data.map((item) => item.embedding.length > 0),
    chat: [chat.choices[0].message.content, pieces.join("")],
    refused: [error instanceof NotFoundError, error.code],
  };
}

async function media() {
  const { OpenAI, toFile, NotFoundError } = load("openai");
  const sdk = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
  const file = () => toFile(Buffer.alloc(100000, 7), "a sound.wav", { type: "audio/wav" });
  const hear = async (fields) =>
    sdk.audio.transcriptions.create({ model: "media", file: await file(), ...fields });
  const events = [];
  for await (const event of await hear({ stream: true })) events.push(event.type);
  const said = await sdk.audio.speech.create({ model: "media", input: "hi", voice: "alloy" });
  const drawn = await sdk.images.generate({ model: "media", prompt: "a cat" });
  const edited = await sdk.images.edit({
    model: "media", image: [await file(), await file()], prompt: "a hat",
  });
  const decided = await sdk.post("/decisions", { body: { model: "media", questions: [] } });
  const error = await hear({ model: "ghost" }).catch((each) => each);
  return {
    heard: (await hear({})).text,
    text: await hear({ response_format: "srt" }),
    events,
    said: [(await said.arrayBuffer()).byteLength, said.headers.get("content-type")],
    pictures: [drawn, edited].map((each) => each.data[0].b64_json),
    decided: decided.answers.length,
    refused: [error instanceof NotFoundError, error.code],
  };
}

async function anthropic() {
  const { default: Anthropic, NotFoundError } = load("@anthropic-ai/sdk");
  const sdk = new Anthropic({ baseURL: url, apiKey: "none", maxRetries: 0 });
  const asked = { model, max_tokens: 100, tools: [{ name: "say", input_schema: schema }] };
  const messages = [{ role: "user", content: question }];
  const whole = await sdk.messages.create({
    model, max_tokens: 100, messages: [{ role: "user", content: "hi" }],
  });
  const stream = sdk.messages.stream({ ...asked, messages });
  const events = [];
  for await (const event of stream) events.push(event.type);
  const first = await stream.finalMessage();
  const use = first.content.find((block) => block.type === "tool_use");
  const results = [{ type: "tool_result", tool_use_id: use.id, content: word }];
  const second = await sdk.messages.create({
    ...asked,
    messages: [
      ...messages,
      { role: "assistant", content: first.content },
      { role: "user", content: results },
    ],
  });
  const count = await sdk.messages.countTokens({ model, messages });
  const ghost = { model: "ghost", max_tokens: 9, messages };
  const error = await sdk.messages.create(ghost).catch((each) => each);
  return {
    text: whole.content[0].text,
    kinds: first.content.map((block) => block.type),
    ends: [events[0], events.at(-1)],
    arguments: JSON.stringify(use.input),
    answer: second.content[0].text,
    counted: count.input_tokens > 0,
    refused: [error instanceof NotFoundError, error.error?.error?.type],
  };
}

// A whole loop of tools with the AI SDK: onError gets each event that does not fit its schema.
async function aisdk(languageModel, options) {
  const { streamText, generateText, tool, jsonSchema, stepCountIs } = load("ai");
  const said = [];
  const errors = [];
  const run = {
    model: languageModel,
    prompt: question,
    maxRetries: 0,
    stopWhen: stepCountIs(3),
    providerOptions: options,
    tools: {
      say: tool({
        inputSchema: jsonSchema(schema),
        execute: async (given) => (said.push(given.word), given.word),
      }),
    },
  };
  const streamed = streamText({ ...run, onError: ({ error }) => errors.push(String(error)) });
  const parts = [];
  for await (const part of streamed.fullStream) parts.push(part.type);
  const text = await streamed.text;
  const whole = await generateText(run);
  return {
    errors,
    said,
    answers: [text, whole.text],
    steps: [(await streamed.steps).length, whole.steps.length],
    thinks: parts.includes("reasoning-delta"),
  };
}

const provider = (name, make, settings) => load(name)[make]({ apiKey: "none", ...settings });
const settings = { baseURL: `${url}/v1` };

const CLIENTS = {
  openai,
  "openai-media": media,
  anthropic,
  "ai-openai": () => aisdk(provider("@ai-sdk/openai", "createOpenAI", settings)(model)),
  "ai-openai-unstored": () =>
    aisdk(provider("@ai-sdk/openai", "createOpenAI", settings)(model), {
      openai: { store: false },
    }),
  "ai-anthropic": () => aisdk(provider("@ai-sdk/anthropic", "createAnthropic", settings)(model)),
  "ai-compatible": () =>
    aisdk(
      provider("@ai-sdk/openai-compatible", "createOpenAICompatible", {
        name: "callboard",
        ...settings,
      })(model),
    ),
};

CLIENTS[client]().then(
  (result) => console.log(JSON.stringify(result)),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
