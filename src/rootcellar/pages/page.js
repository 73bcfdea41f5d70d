// What every page of ours shares: trading the one-time token for a session, calls, and being heard of.
const HEADER = "Rootcellar-Session";
const ALIVE_MS = 20_000;

let session = sessionStorage.getItem(HEADER) || "";

/** A call that was refused, in the words of the program. */
export class Refused extends Error {
  constructor(said) {
    super(said.refused);
    this.hint = said.hint || "";
  }
}

/** The answer of one call; rejects with `Refused`, or with a plain Error where the program is gone. */
export async function call(name, given = {}, more = {}) {
  let answer;
  try {
    answer = await fetch("/" + name, {
      method: "POST",
      headers: { "Content-Type": "application/json", [HEADER]: session },
      body: JSON.stringify(given),
      cache: "no-store",
      ...more,
    });
  } catch {
    throw new Error("Rootcellar is not running any more.");
  }
  const said = await answer.json();
  if (!answer.ok) throw new Refused(said);
  return said;
}

/** Become the one tab that may call; `ended` is told when the program does not know this tab any more. */
export async function begin(ended) {
  const token = location.hash.slice(1);
  if (token) {
    history.replaceState(null, "", "/");
    session = (await call("begin", { token })).session;
    sessionStorage.setItem(HEADER, session);
  } else {
    await call("alive");
    setTimeout(() => call("alive").catch(() => {}), 3_000); // the `leave` of the tab before a reload may come late
  }
  const beat = setInterval(() => call("alive").catch((error) => stop(error)), ALIVE_MS);
  const leave = () => call("leave", {}, { keepalive: true }).catch(() => {});
  const stop = (error) => {
    clearInterval(beat);
    removeEventListener("pagehide", leave);
    if (error) ended(error);
  };
  addEventListener("pagehide", leave);
  return stop;
}
