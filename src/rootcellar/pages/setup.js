// The Setup page: it shows, asks and remembers nothing; what is true is decided by the program behind it.
import { begin, call } from "/page.js";
import { pickFolder } from "/picker.js";

const $ = (id) => document.getElementById(id);
const STEPS = ["hosts", "folders", "review", "result"];
const LOOK_MS = 300;

let facts = null; // what `look` said
let folders = []; // {path, readOnly}
let plan = null;
const takeOver = new Set(); // hosts whose entry of another hand is to be replaced
let stop = () => {};

function make(tag, given = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child));
  return node;
}

/** A sentence, with what stands in backticks set as code. */
function rich(tag, className, text) {
  const parts = text.split("`").map((part, index) => (index % 2 ? make("code", { textContent: part }) : part));
  return make(tag, { className }, ...parts);
}

function show(step) {
  $("alert").hidden = true;
  for (const name of [...STEPS, "bye"]) $(name).hidden = name !== step;
  for (const item of document.querySelectorAll(".steps li")) {
    const at = STEPS.indexOf(item.dataset.step);
    const now = step === "bye" ? STEPS.length : STEPS.indexOf(step);
    item.classList.toggle("past", at < now);
    if (at === now) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  }
  const title = $(step).querySelector("h1");
  document.title = `${title.textContent} · Rootcellar`;
  title.focus();
  scrollTo(0, 0);
}

function alertOf(error) {
  $("alert").textContent = error.hint ? `${error.message}. ${error.hint}.` : error.message;
  $("alert").hidden = false;
}

function bye(title, text) {
  stop();
  $("bye-title").textContent = title;
  $("bye-text").replaceChildren(...rich("p", "", text).childNodes);
  show("bye");
}

const short = (path) =>
  path === facts.home || path.startsWith(facts.home + "/") || path.startsWith(facts.home + "\\")
    ? "~" + path.slice(facts.home.length)
    : path;
const base = (path) => path.split(/[\\/]/).filter(Boolean).pop() || path;

/** Run something that calls the program, with the form's buttons held down meanwhile. */
async function busy(form, work) {
  const buttons = [...form.querySelectorAll("footer button")];
  for (const button of buttons) button.disabled = true;
  try {
    await work();
  } catch (error) {
    alertOf(error);
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

// Step 1: applications

const STATES = {
  absent: "",
  ours: "set up",
  "changed by the user": "set up, then changed by you",
  "stale path": "set up, but broken",
  "not ours": "has an entry that is not ours",
  broken: "cannot be read",
  refused: "",
  "by hand": "by hand",
};

function drawHosts() {
  $("host-list").replaceChildren(
    ...facts.hosts.map((host) => {
      const notes = host.details.map((text) => rich("span", "note", sentence(text)));
      const words = STATES[host.state] ?? host.state;
      const bad = host.state === "broken" || host.state === "stale path";
      return make(
        "label",
        { className: "row" },
        make("input", { type: "checkbox", name: "host", value: host.id, checked: host.ours || host.state === "absent", disabled: host.by_hand }),
        make(
          "span",
          { className: "what" },
          make("span", { className: "title", textContent: host.title }),
          host.file && make("span", { className: "file", textContent: host.file }),
          ...notes,
        ),
        words && make("span", { className: bad ? "tag bad" : "tag plain", textContent: words }),
      );
    }),
  );
  if (!facts.hosts.length) {
    $("host-list").append(make("p", { className: "empty", textContent: "None of the applications we know was found. Install one, then open this page again." }));
  }
  $("absent").hidden = !facts.absent.length;
  $("absent-list").textContent = facts.absent.join(", ");
}

const chosenHosts = () => [...document.querySelectorAll('input[name="host"]:checked')].map((box) => box.value);

// Step 2: folders

function addFolder(path, readOnly = false) {
  if (!folders.some((folder) => folder.path === path)) folders.push({ path, readOnly });
  drawFolders();
}

function drawFolders() {
  $("no-folder").hidden = folders.length > 0;
  $("folder-list").replaceChildren(
    ...folders.map((folder, index) => {
      const only = make("input", { type: "checkbox", role: "switch", checked: folder.readOnly, "aria-label": `Read only: ${short(folder.path)}` });
      only.addEventListener("change", () => (folder.readOnly = only.checked));
      const away = make("button", { type: "button", className: "away", "aria-label": `Remove ${short(folder.path)}`, textContent: "Remove" });
      away.addEventListener("click", () => {
        folders.splice(index, 1);
        drawFolders();
        const next = document.querySelectorAll("#folder-list .away")[Math.min(index, folders.length - 1)];
        (next || $("add")).focus();
      });
      return make(
        "li",
        { className: "row" },
        make("span", { className: "what" }, make("span", { className: "title", textContent: base(folder.path) }), make("span", { className: "file", textContent: short(folder.path) })),
        make("label", { className: "switch" }, only, make("span", { textContent: "Read only" })),
        away,
      );
    }),
  );
  const offers = facts.offers.filter((path) => !folders.some((folder) => folder.path === path));
  $("offers").replaceChildren(
    ...offers.map((path) => {
      const offer = make("button", { type: "button", textContent: `+ ${base(path)}`, "aria-label": `Add ${short(path)}` });
      offer.addEventListener("click", () => {
        addFolder(path);
        const switches = document.querySelectorAll("#folder-list .switch input");
        switches[switches.length - 1].focus();
      });
      return offer;
    }),
  );
}

function drawEverywhere() {
  const chosen = new Set(chosenHosts());
  const giving = facts.hosts.filter((host) => host.gives_folders && chosen.has(host.id)).map((host) => host.title);
  $("everywhere-row").hidden = !giving.length;
  const names = giving.length > 1 ? `${giving.slice(0, -1).join(", ")} and ${giving.at(-1)}` : giving[0];
  const verb = giving.length > 1 ? "bring the folders they have open" : "brings the folder it has open";
  $("everywhere-text").textContent = `${names} ${verb}, and need${giving.length > 1 ? "" : "s"} none of these. Give these there too.`;
}

// Step 3: review

const ACTS = {
  add: "add", update: "update", "take over": "replace", "already there": "already there", remove: "remove",
  "remove the file we made": "remove the file we made", "already gone": "already gone",
};

function drawDiff(text) {
  const lines = text.split("\n").slice(2); // the names of the file are in the head
  const kind = (line) => (line.startsWith("+") ? "plus" : line.startsWith("-") ? "minus" : line.startsWith("@") ? "at" : "");
  const drawn = lines.map((line) => make("span", { className: kind(line), textContent: line || " " }));
  return make("pre", { className: "diff" }, ...drawn);
}

const OPENS = "open the bundle";

function replaceChoice(item) {
  const box = make("input", { type: "checkbox", checked: takeOver.has(item.host), id: `replace-${item.host}` });
  box.addEventListener("change", () => {
    if (box.checked) takeOver.add(item.host);
    else takeOver.delete(item.host);
    busy($("review"), async () => {
      await askPlan();
      $(box.id).focus();
    });
  });
  const words = make("span", { textContent: `Replace the entry that is there. Taking Rootcellar out again gives it back.` });
  return make("label", { className: "choice small why" }, box, words);
}

async function askPlan() {
  plan = await call("plan", {
    hosts: chosenHosts(),
    folders: folders.filter((folder) => !folder.readOnly).map((folder) => folder.path),
    folders_read_only: folders.filter((folder) => folder.readOnly).map((folder) => folder.path),
    everywhere: !$("everywhere-row").hidden && $("everywhere").checked,
    take_over: [...takeOver],
  });
  drawPlan();
}

function drawPlan() {
  $("plan").replaceChildren(
    ...plan.items.map((item) => {
      const refused = item.status === "refused";
      const words = refused ? "left alone" : ACTS[item.act] || item.status;
      const head = make(
        "div",
        { className: "head" },
        make("span", { className: "what" }, make("span", { className: "title", textContent: item.title }), make("span", { className: "file", textContent: short(item.file) })),
        make("span", { className: refused ? "tag bad" : item.diff ? "tag" : "tag plain", textContent: words }),
      );
      const why = refused && rich("p", "why", `${sentence(item.why)} ${sentence(item.hint)}`);
      const more = item.status === OPENS && item.details.map((text) => rich("p", "why", sentence(text)));
      return make(
        "section",
        { className: "card", "aria-label": item.title },
        head, why, ...(more || []), item.others && replaceChoice(item), item.diff && drawDiff(item.diff),
      );
    }),
  );
  const count = plan.changes;
  $("review-lead").textContent = count
    ? "Exactly these lines, and nothing else in these files. A copy of each file is kept."
    : "Nothing has to change.";
  $("apply").textContent = !count ? "Check that it works" : count === 1 ? "Change 1 file" : `Change ${count} files`;
  $("apply").hidden = !plan.items.length;
}

// Step 4: result

const STAGES = { waiting: "waiting", working: "working…" };
const SETTLED = { ready: "ready", removed: "removed", absent: "nothing to do" };
const inWindow = (text) => text.replace(/; --root-everywhere.*$/, "").replace(/: run the same with --root.*$/, ": open Setup again to choose one");
const sentence = (text) => (text ? text.charAt(0).toUpperCase() + text.slice(1) + "." : "");

function drawRows(rows) {
  $("rows").replaceChildren(
    ...rows.map((row) => {
      const done = row.stage === "done";
      const refused = done && row.status === "refused";
      const notes = !done ? [] : refused ? [sentence(row.why), sentence(row.hint)] : [SETTLED[row.status] ? "" : sentence(row.status), ...row.details.map((text) => sentence(inWindow(text)))];
      const state = !done ? STAGES[row.stage] : refused ? "not done" : SETTLED[row.status] || "one more step";
      if (row.proof && row.proof.initialize_s) notes.push(`It answered in ${Math.max(0.1, row.proof.initialize_s).toFixed(1)} s, with ${row.proof.tools.length} ${row.proof.tools.length === 1 ? "tool" : "tools"}.`);
      return make(
        "li",
        { className: "row" },
        make("span", { className: "what" }, make("span", { className: "title", textContent: row.title }), ...notes.filter(Boolean).map((text) => rich("span", "note", text))),
        done && row.status === OPENS && openButton(),
        make("span", { className: refused ? "tag bad" : done ? "tag" : "tag plain", textContent: state }),
      );
    }),
  );
}


function openButton() {
  const button = make("button", { type: "button", textContent: "Open it" });
  button.addEventListener("click", () => call("open_bundle").catch(alertOf));
  return button;
}

async function follow() {
  const seen = await call("progress");
  const done = seen.rows.filter((row) => row.stage === "done").length;
  drawRows(seen.rows);
  $("bar").max = seen.rows.length || 1;
  $("bar").value = done;
  if (!seen.over) {
    setTimeout(() => follow().catch(alertOf), LOOK_MS);
    return;
  }
  const refused = seen.rows.filter((row) => row.status === "refused").length;
  const more = seen.rows.filter((row) => row.status !== "refused" && !SETTLED[row.status]).length;
  $("bar").hidden = true;
  $("result-title").textContent = refused ? "Done, but not everywhere" : "Done";
  $("result-lead").textContent = refused
    ? "What was not done left its file as it was."
    : more ? "Some applications need one more step from you." : "Open one of these applications and ask it about your files.";
  $("said").textContent = `${$("result-title").textContent}. ${$("result-lead").textContent}`;
  $("close").hidden = false;
  show("result");
}

// What leads from step to step

$("hosts").addEventListener("submit", (event) => {
  event.preventDefault();
  drawEverywhere();
  show("folders");
});

$("folders").addEventListener("submit", (event) => {
  event.preventDefault();
  busy(event.target, async () => {
    await askPlan();
    show("review");
  });
});

$("review").addEventListener("submit", (event) => {
  event.preventDefault();
  busy(event.target, async () => {
    await call("apply", { plan: plan.plan });
    show("result");
    await follow();
  });
});

$("result").addEventListener("submit", (event) => {
  event.preventDefault();
  busy(event.target, async () => {
    await call("finish");
    bye("You can close this page", "To change something later, open Rootcellar Setup again, or run `rootcellar setup`.");
  });
});

for (const button of document.querySelectorAll("[data-back]")) {
  button.addEventListener("click", () => show(button.dataset.back));
}
$("add").addEventListener("click", async () => {
  const path = await pickFolder(facts.home);
  if (path) addFolder(path);
  const switches = document.querySelectorAll("#folder-list .switch input");
  (path ? switches[switches.length - 1] : $("add")).focus();
});

try {
  stop = await begin((error) => bye("This page has ended", `${error.message} Open Rootcellar Setup again to go on.`));
  facts = await call("look");
  folders = facts.folders.map((folder) => ({ path: folder.path, readOnly: folder.read_only }));
  drawHosts();
  drawFolders();
  const seen = await call("progress");
  if (seen.rows.length) {
    show("result");
    await follow();
  } else {
    show("hosts");
  }
} catch (error) {
  bye("This page cannot be used", `${error.message}${error.hint ? ". " + error.hint : ""}.`.replace("..", "."));
}
