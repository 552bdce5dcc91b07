// The Vercel AI SDK through the gateway, with four of its providers, against a model of each kind. See sections.mjs.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateObject, generateText, Output, stepCountIs, streamObject, streamText, tool } from "ai";
import { z } from "zod";
import { key, models, origin, print, recorded, section, told } from "./sections.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;
const access = { baseURL: `${origin}/v1`, apiKey: key, fetch: recorded };
const openai = createOpenAI(access);
const anthropic = createAnthropic(access);
const compatible = createOpenAICompatible({
  ...access,
  name: "tollway",
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const faces = {
  chat: (model) => openai.chat(model),
  responses: (model) => openai.responses(model),
  messages: (model) => anthropic(model),
  compatible: (model) => compatible.chatModel(model),
};
const Trip = z.object({ city: z.string(), days: z.number(), kind: z.enum(["work", "leisure"]) });
const QUESTION = "What is the capital of France?";
const CALL = 'Please call weather {"city":"Paris"} and call weather {"city":"Rome"}';
const maxRetries = 0;
const counts = ({ inputTokens, outputTokens, totalTokens }) => ({ inputTokens, outputTokens, totalTokens });

async function text(model) {
  const asked = { model, instructions: "Be brief.", prompt: QUESTION, maxRetries };
  const plain = await generateText(asked);
  const stream = streamText(asked);
  const types = [];
  let deltas = "";
  for await (const part of stream.stream) {
    if (types.at(-1) !== part.type) types.push(part.type);
    if (part.type === "text-delta") deltas += part.text;
  }
  return {
    plain: { text: plain.text, finish: plain.finishReason, usage: counts(plain.usage) },
    streamed: { text: await stream.text, finish: await stream.finishReason, usage: counts(await stream.usage) },
    deltas,
    types,
  };
}

async function object(model) {
  const asked = { model, schema: Trip, schemaName: "trip", prompt: "a trip", maxRetries };
  const stream = streamObject(asked);
  let parts = 0;
  for await (const _part of stream.partialObjectStream) parts += 1;
  const output = Output.object({ schema: Trip });
  return {
    plain: (await generateObject(asked)).object,
    streamed: await stream.object,
    parts,
    output: (await generateText({ model, output, prompt: "a trip", maxRetries })).output,
  };
}

// Two calls in the first step, the answer in the second; then the conversation goes on, its own messages sent back.
async function tools(model, streamed) {
  const cities = [];
  const weather = tool({
    description: "The weather",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => {
      cities.push(city);
      return { sky: "sunny" };
    },
  });
  const messages = [{ role: "user", content: CALL }];
  const asked = { model, tools: { weather }, messages, stopWhen: stepCountIs(4), maxRetries };
  const answer = streamed ? streamText(asked) : await generateText(asked);
  if (streamed) await answer.consumeStream();
  const steps = (await answer.steps).map((step) => step.finishReason);
  const said = await answer.responseMessages;
  const next = [...messages, ...said, { role: "user", content: "Thanks." }];
  const last = await generateText({ ...asked, messages: next });
  return { cities, steps, text: await answer.text, roles: said.map((message) => message.role), last: last.text };
}

async function reasoning(model, options) {
  const messages = [{ role: "user", content: QUESTION }];
  const asked = { model, maxRetries, providerOptions: options };
  const found = {};
  for (const [name, ask] of [
    ["plain", generateText],
    ["streamed", streamText],
  ]) {
    const first = await ask({ ...asked, messages });
    if (name === "streamed") await first.consumeStream();
    const said = await first.responseMessages;
    const next = [...messages, ...said, { role: "user", content: "Why?" }];
    const second = await generateText({ ...asked, messages: next });
    found[name] = {
      reasoning: await first.reasoningText,
      reasoned: (await first.reasoning).length,
      second: { text: second.text, input: second.usage.inputTokens },
    };
  }
  return found;
}

async function errors(face, model) {
  const ask = (name) => generateText({ model: face(`${name}-${model}`), prompt: QUESTION, maxRetries });
  const failure = (error) => ({ ...told(error), status: error.statusCode, retryable: error.isRetryable });
  const found = {};
  for (const name of ["limited", "failing", "refused"]) {
    found[name] = await ask(name).then(() => null, failure);
  }
  const unknown = face("no-such-model");
  found.unknown = await generateText({ model: unknown, prompt: QUESTION, maxRetries }).then(() => null, failure);
  const stream = streamText({
    model: face(`broken-${model}`),
    prompt: QUESTION,
    maxRetries,
    onError: ({ error }) => (found.broken = told(error)),
  });
  await stream.consumeStream();
  return found;
}

async function abort(model) {
  const controller = new AbortController();
  const stream = streamText({ model, prompt: QUESTION, maxRetries, abortSignal: controller.signal });
  const types = new Set();
  for await (const part of stream.stream) {
    types.add(part.type);
    if (part.type === "text-delta") controller.abort();
  }
  return [...types];
}

async function embeddings(model) {
  const found = await embedMany({ model, values: ["a word", "another", "a third"], maxRetries });
  return { lengths: found.embeddings.map((vector) => vector.length), tokens: found.usage.tokens };
}

const options = {
  responses: { openai: { forceReasoning: true, reasoningSummary: "auto" } },
  messages: { anthropic: { thinking: { type: "enabled", budgetTokens: 1024 } } },
};
const unstored = { openai: { ...options.responses.openai, store: false } };

for (const model of models) {
  for (const [name, face] of Object.entries(faces)) {
    await section(model, `${name}_text`, () => text(face(model)));
    await section(model, `${name}_object`, () => object(face(model)));
    await section(model, `${name}_tools`, () => tools(face(model), false));
    await section(model, `${name}_tools_streamed`, () => tools(face(model), true));
    const thinks = face(`thinking-${model}`);
    await section(model, `${name}_reasoning`, () => reasoning(thinks, options[name]));
    if (name === "responses") await section(model, "responses_unstored", () => reasoning(thinks, unstored));
    await section(model, `${name}_errors`, () => errors(face, model));
    await section(model, `${name}_abort`, () => abort(face(`slow-${model}`)));
  }
  if (model !== "claude") {
    await section(model, "chat_embeddings", () => embeddings(openai.embeddingModel(model)));
    await section(model, "compatible_embeddings", () => embeddings(compatible.embeddingModel(model)));
  }
}
print();
