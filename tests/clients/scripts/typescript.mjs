import Anthropic from "@anthropic-ai/sdk";
import { ask, run } from "./cases.mjs";

const client = new Anthropic({ baseURL: process.env.CLIENT_URL, apiKey: process.env.CLIENT_KEY, maxRetries: 0 });
const tools = [{ name: "get_weather", description: "The weather in a city", input_schema: {
  type: "object", properties: { city: { type: "string" } }, required: ["city"] } }];

await run("plain", async () => (await client.messages.create(ask("Hello"))).content[0].text);
await run("streaming", async () => (await client.messages.stream(ask("Hello")).finalMessage()).content[0].text);
await run("tools", async () => {
  const message = await client.messages.create({ ...ask("What is the weather in Paris?"), tools });
  return message.content.find((block) => block.type === "tool_use").name;
});
await run("cut stream", () => client.messages.stream(ask("Write CUT words")).finalMessage(), true);
