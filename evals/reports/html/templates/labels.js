"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const [NO, YES, UNSURE] = [0, 1, -1];
  const SAID = { [YES]: "Yes", [NO]: "No", [UNSURE]: "Cannot tell" };
  const counted = (number) => number.toLocaleString("en");
  const several = (number, noun) => `${counted(number)} ${noun}${number === 1 ? "" : "s"}`;

  // One question to a person: an answer, what is asked of it, and of which passage where it is asked of each.
  const tasks = [];
  data.items.forEach((item, at) => {
    for (const asked of data.asked) {
      if (!(asked.key in item.weights)) continue;
      if (asked.key === data.byContext) item.contexts.forEach((_, passage) => tasks.push({ at, asked, passage }));
      else tasks.push({ at, asked, passage: null });
    }
  });

  let name = "";
  let verdicts = tasks.map(() => null);
  let times = {};
  let undoable = [];
  let current = 0;
  let isKept = true;
  let isSaved = true;

  // What hides text beside it or turns it around is shown as a sign; what is saved has it as it was.
  const visible = (text) =>
    text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
  const show = (element, text) => {
    element.textContent = visible(text);
  };
  const made = (tag, text, className = "") => {
    const element = document.createElement(tag);
    show(element, text);
    element.className = className;
    element.dir = "auto";
    return element;
  };

  let silence = 0;
  const say = (text) => {
    show(byId("said"), text);
    clearTimeout(silence);
    silence = setTimeout(() => byId("said").replaceChildren(), 4000);
  };

  // --- what the browser keeps ---

  const place = () => `rag-evals labels ${data.draw} ${name}`;

  const keep = () => {
    try {
      localStorage.setItem(place(), JSON.stringify({ verdicts, times }));
      isKept = true;
    } catch {
      isKept = false;
    }
    byId("kept").hidden = isKept;
  };

  const recall = () => {
    try {
      const found = JSON.parse(localStorage.getItem(place()));
      if (!found || found.verdicts.length !== tasks.length) return;
      verdicts = found.verdicts.map((one) => ([NO, YES, UNSURE].includes(one) ? one : null));
      times = found.times;
    } catch {
      // Nothing is kept here: the page says so with the first answer.
    }
  };

  // --- what is shown ---

  const view = (id) => {
    for (const one of ["start", "work", "done"]) byId(one).hidden = one !== id;
  };

  const answered = () => verdicts.filter((one) => one !== null).length;

  const spot = (passage) =>
    [passage.document, passage.page ? `p. ${passage.page}${passage.page_end ? `-${passage.page_end}` : ""}` : ""]
      .filter(Boolean).join(", ");

  const drawPassages = (item, { asked, passage }) => {
    const isNeeded = asked.shows.some((one) => one.startsWith("passage"));
    const numbers = item.contexts.map((_, n) => n).filter((n) => passage === null || n === passage);
    const entries = numbers.map((n) => {
      const one = data.passages[item.contexts[n]];
      const entry = document.createElement("li");
      entry.append(made("h3", [`Passage ${n + 1}`, spot(one)].filter(Boolean).join(" · ")), made("p", one.text, "text"));
      return entry;
    });
    const details = byId("passages").firstElementChild;
    details.querySelector("ol").replaceChildren(...entries);
    details.querySelector("summary").textContent =
      passage === null ? (entries.length ? `Passages (${entries.length})` : "No passages") : "The passage";
    details.open = isNeeded;
  };

  const drawHistory = (item) => {
    const turns = (item.history ?? []).map(({ role, content }) => {
      const turn = made("li", content);
      turn.prepend(made("b", `${role}: `));
      return turn;
    });
    byId("history").hidden = !turns.length;
    byId("history").querySelector("ol").replaceChildren(...turns);
  };

  const draw = () => {
    const task = tasks[current];
    const item = data.items[task.at];
    drawHistory(item);
    show(byId("question"), item.question);
    show(byId("answer"), item.answer || "(empty)");
    byId("reference").hidden = !task.asked.shows.includes("reference");
    show(byId("reference").querySelector("p"), item.reference ?? "");
    show(byId("asks"), task.asked.asks);
    show(byId("helps"), task.asked.helps);
    drawPassages(item, task);
    for (const [id, verdict] of [["yes", YES], ["no", NO], ["unsure", UNSURE]]) {
      byId(id).setAttribute("aria-pressed", String(verdicts[current] === verdict));
    }
    const done = answered();
    byId("progress").max = tasks.length;
    byId("progress").value = done;
    byId("count").textContent = `${counted(done)} of ${counted(tasks.length)} answered, this is ${counted(current + 1)}`;
    byId("previous").disabled = current === 0;
    byId("undo").disabled = !undoable.length;
    view("work");
  };

  const go = (to) => {
    const isOther = tasks[to].at !== tasks[current].at || tasks[to].passage !== tasks[current].passage;
    current = to;
    draw();
    if (isOther) {
      scrollTo(0, 0);
      byId("told").scrollTop = 0;
    }
  };

  const finish = () => {
    const unsure = verdicts.filter((one) => one === UNSURE).length;
    const open = tasks.length - answered();
    const answers = several(data.items.length, "answer");
    byId("done").querySelector("h1").textContent = open ? `${several(open, "question")} still open` : "All answered";
    byId("result").textContent =
      `${several(answered(), "question")} about ${answers}, ${counted(unsure)} of them with "cannot tell".`;
    view("done");
    byId("done").querySelector("h1").focus({ preventScroll: true });
  };

  const isWorking = () => !byId("work").hidden;

  // --- what people do ---

  const nextOpen = () => {
    const later = verdicts.findIndex((one, n) => one === null && n > current);
    return later >= 0 ? later : verdicts.indexOf(null);
  };

  const answer = (verdict) => {
    undoable.push([current, verdicts[current]]);
    verdicts[current] = verdict;
    times[tasks[current].at] = new Date().toISOString();
    isSaved = false;
    keep();
    const to = nextOpen();
    say(`${SAID[verdict]}. ${counted(answered())} of ${counted(tasks.length)}.`);
    if (to < 0) finish();
    else go(to);
  };

  const undo = () => {
    const last = undoable.pop();
    if (!last) return say("There is nothing to undo.");
    const [task, before] = last;
    verdicts[task] = before;
    isSaved = false;
    keep();
    say("Undone.");
    go(task);
  };

  const back = () => {
    if (!isWorking()) draw();
    else if (current > 0) go(current - 1);
  };
  const on = () => {
    if (!isWorking()) return;
    if (current + 1 < tasks.length) go(current + 1);
    else finish();
  };

  // --- the file ---

  const entryOf = (at) => {
    const item = data.items[at];
    const mine = tasks.map((task, n) => [task, verdicts[n]]).slice(first[at], first[at + 1]);
    if (mine.every(([, verdict]) => verdict === null)) return null;
    const entry = { id: item.id, question: item.question };
    for (const key of ["reference", "history"]) if (item[key] !== undefined) entry[key] = item[key];
    entry.contexts = item.contexts.map((n) => data.passages[n]);
    entry.answer = item.answer;
    const unsure = new Set();
    for (const [task, verdict] of mine) {
      const { key } = task.asked;
      if (verdict === UNSURE) unsure.add(key);
      const label = verdict === UNSURE ? null : verdict;
      if (key === data.byContext) (entry[key] ??= item.contexts.map(() => null))[task.passage] = label;
      else if (label !== null) entry[key] = label;
    }
    entry.source = item.source;
    entry.labeller = name;
    entry.time = times[at];
    entry.run = data.run;
    entry.draw = data.draw;
    entry.pipeline = item.pipeline;
    entry.question_id = item.question_id;
    if (unsure.size) entry.unsure = [...unsure];
    entry.weights = item.weights;
    return entry;
  };

  // The tasks of an answer stand together: from first[at] to first[at + 1].
  const first = data.items.map((_, at) => tasks.findIndex((task) => task.at >= at));
  first.push(tasks.length);

  const save = () => {
    const entries = data.items.map((_, at) => entryOf(at)).filter(Boolean);
    if (!entries.length) return say("Nothing is answered yet.");
    const text = entries.map((entry) => `${JSON.stringify(entry)}\n`).join("");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/jsonl" }));
    link.download = `labels-${data.file}-${name.replace(/[^\p{L}\p{N}]+/gu, "-")}.jsonl`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    isSaved = true;
    say(`${several(entries.length, "answer")} saved to ${link.download}`);
  };

  const takeEntry = (entry) => {
    const at = data.items.findIndex((item) => item.id === entry.id);
    if (at < 0 || entry.draw !== data.draw) throw new Error("It is a file of another page");
    for (let n = first[at]; n < first[at + 1]; n += 1) {
      const { asked: { key }, passage } = tasks[n];
      const label = passage === null ? entry[key] : entry[key]?.[passage];
      if (label === YES || label === NO) verdicts[n] = label;
      else if (entry.unsure?.includes(key)) verdicts[n] = UNSURE;
    }
    times[at] = entry.time;
    return entry.labeller;
  };

  const open = async (file) => {
    const before = [verdicts, times];
    [verdicts, times] = [[...verdicts], { ...times }];
    try {
      const lines = (await file.text()).split("\n").filter((line) => line.trim());
      const names = lines.map((line) => takeEntry(JSON.parse(line)));
      if (!names.length) throw new Error("It is empty");
      byId("name").value = names[0];
      begin(names[0], { isOpened: true });
      say(`${several(names.length, "answer")} taken over from ${file.name}`);
    } catch (error) {
      [verdicts, times] = before;
      say(`${file.name} is not taken over: ${error.message}.`);
    }
    byId("file").value = "";
  };

  // --- begin ---

  const begin = (who, { isOpened = false } = {}) => {
    name = who.trim();
    if (!name) return;
    if (!isOpened) recall();
    keep();
    show(byId("who"), name);
    const to = verdicts.indexOf(null);
    current = Math.max(0, to);
    if (answered()) say(`${counted(answered())} of ${counted(tasks.length)} were answered before.`);
    if (to < 0) finish();
    else go(current);
    byId("asks").focus({ preventScroll: true });
  };

  for (const { asks, helps } of data.asked) byId("guide").append(made("dt", asks), made("dd", helps));
  byId("kept").textContent =
    "This browser keeps nothing of this page: save your labels to a file before you close it.";

  byId("begin").addEventListener("submit", (event) => {
    event.preventDefault();
    begin(byId("name").value);
  });
  byId("file").addEventListener("change", () => {
    const [file] = byId("file").files;
    if (file) open(file);
  });
  const actions = {
    yes: () => answer(YES),
    no: () => answer(NO),
    unsure: () => answer(UNSURE),
    previous: back,
    next: on,
    undo,
    save,
    again: back,
    "save-all": save,
  };
  for (const [id, action] of Object.entries(actions)) byId(id).addEventListener("click", action);
  const keys = { y: "yes", n: "no", "?": "unsure", ArrowLeft: "previous", ArrowRight: "next", z: "undo", s: "save" };
  const verdictKeys = ["yes", "no", "unsure"];
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "INPUT") return;
    const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action || !byId("start").hidden) return;
    event.preventDefault();
    // A key that is held down would answer what nobody has read.
    if (event.repeat && action !== "previous" && action !== "next") return;
    if (isWorking() || !verdictKeys.includes(action)) actions[action]();
  });
  addEventListener("beforeunload", (event) => {
    if (!isKept && !isSaved) event.preventDefault();
  });
  view("start");
  byId("name").focus();
})();
