import { createAnthropic } from "@ai-sdk/anthropic";
import { generateText, jsonSchema, streamText, tool } from "ai";
import { run } from "./cases.mjs";

const anthropic = createAnthropic({ baseURL: `${process.env.CLIENT_URL}/v1`, apiKey: process.env.CLIENT_KEY });
const model = anthropic(process.env.CLIENT_MODEL);
const asked = (prompt) => ({ model, prompt, maxOutputTokens: 200, maxRetries: 0 });
const get_weather = tool({
  description: "The weather in a city",
  inputSchema: jsonSchema({ type: "object", properties: { city: { type: "string" } }, required: ["city"] }),
});

async function streamed(prompt) {
  let failure = null, text = "";
  const result = streamText({ ...asked(prompt), onError: ({ error }) => { failure = error; } });
  for await (const piece of result.textStream) text += piece;
  if (failure) throw failure;
  return text;
}

await run("plain", async () => (await generateText(asked("Hello"))).text);
await run("streaming", () => streamed("Hello"));
await run("tools", async () => {
  const result = await generateText({ ...asked("What is the weather in Paris?"), tools: { get_weather } });
  return result.toolCalls[0].toolName;
});
await run("cut stream", () => streamed("Write CUT words"), true);
