// What the scripts of Node clients share: one line of JSON for each case.
export const ask = (prompt) => ({
  model: process.env.CLIENT_MODEL, max_tokens: 200, messages: [{ role: "user", content: prompt }],
});

export async function run(name, act, fails = false) {
  if (!process.env.CLIENT_CASES.split(",").includes(name)) return;
  let seen = "", raised = null;
  try {
    seen = String(await act());
  } catch (error) {
    raised = `${error.constructor.name}: ${String(error.message).replace(/\s+/g, " ").slice(0, 120)}`;
  }
  const ok = fails ? raised !== null : Boolean(seen) && raised === null;
  console.log(JSON.stringify({ case: name, ok, seen: raised ?? seen.slice(0, 60) }));
}
