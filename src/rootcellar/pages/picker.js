// The folder picker: a dialog over one folder at a time. Arrow keys move, Enter opens, Backspace goes up, letters find.
import { call } from "/page.js";

const $ = (id) => document.getElementById(id);
let here = null; // what `browse` said
let settle = () => {};

/** The path the user took, or "" where none was taken. */
export function pickFolder(start) {
  $("picker").showModal();
  go(start);
  return new Promise((resolve) => (settle = resolve));
}

function close(path) {
  $("picker").close();
  settle(path);
}

async function go(path, from = "") {
  try {
    here = await call("browse", { path, hidden: $("picker-hidden").checked });
  } catch (error) {
    $("picker-note").textContent = error.hint ? `${error.message}. ${error.hint}.` : error.message;
    $("picker-take").disabled = true;
    return;
  }
  $("picker-path").value = here.path;
  $("picker-path").scrollLeft = $("picker-path").scrollWidth; // its end says most
  $("picker-up").disabled = here.trail.length < 2;
  $("picker-take").disabled = Boolean(here.why_not);
  draw(from);
}

function draw(from) {
  const rows = here.folders.map((folder) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = folder.name;
    button.tabIndex = -1;
    button.addEventListener("click", () => go(folder.path));
    const row = document.createElement("li");
    row.append(button);
    return row;
  });
  if (!rows.length) {
    const none = document.createElement("li");
    none.className = "none";
    none.textContent = "No folders in it.";
    rows.push(none);
  }
  $("picker-list").replaceChildren(...rows);
  const count = here.cut ? `${here.cut} more are not shown: type the path.` : "";
  $("picker-note").textContent = here.why_not ? `This one cannot be given: ${here.why_not}.` : count;
  const at = Math.max(0, here.folders.findIndex((folder) => folder.path === from));
  const buttons = [...$("picker-list").querySelectorAll("button")];
  if (buttons.length) {
    buttons[at].tabIndex = 0;
    buttons[at].focus();
  } else {
    $(here.why_not ? "picker-up" : "picker-take").focus();
  }
}

function up() {
  if (here.trail.length > 1) go(here.trail.at(-2).path, here.path);
}

function move(buttons, at) {
  const now = buttons[Math.min(Math.max(at, 0), buttons.length - 1)];
  for (const button of buttons) button.tabIndex = button === now ? 0 : -1;
  now.focus();
}

$("picker-list").addEventListener("keydown", (event) => {
  const buttons = [...$("picker-list").querySelectorAll("button")];
  const at = buttons.indexOf(document.activeElement);
  if (at < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
  const page = 8;
  const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1, PageDown: at + page, PageUp: at - page };
  if (event.key in moves) move(buttons, moves[event.key]);
  else if (event.key === "Backspace") up();
  else if (event.key.length === 1 && event.key !== " ") {
    const starts = (button) => button.textContent.toLowerCase().startsWith(event.key.toLowerCase());
    const next = [...buttons.slice(at + 1), ...buttons.slice(0, at + 1)].find(starts);
    if (next) move(buttons, buttons.indexOf(next));
  } else return;
  event.preventDefault();
});

$("picker-path").addEventListener("keydown", (event) => {
  if (event.key === "Enter") {
    event.preventDefault();
    go($("picker-path").value);
  }
});
$("picker-up").addEventListener("click", up);
$("picker-hidden").addEventListener("change", () => go(here.path));
$("picker-cancel").addEventListener("click", () => close(""));
$("picker").addEventListener("cancel", (event) => {
  event.preventDefault();
  close("");
});
$("picker-take").addEventListener("click", () => close(here.path));
