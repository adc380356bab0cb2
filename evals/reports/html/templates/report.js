"use strict";
(() => {
  // So many rows are drawn at first: laying out thousands takes seconds, and nobody reads them.
  const FIRST = 200;
  const root = document.documentElement;
  const byId = (id) => document.getElementById(id);
  const table = byId("table");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const names = heads.map((head) => head.textContent);
  const inOrder = [...body.rows];
  const details = new Map([...byId("details").children].map((one) => [one.dataset.n, one]));
  const controls = ["search", "outcome", "pipeline", "tag", "flip", "metric", "below"].map(byId).filter(Boolean);
  const counted = (number) => number.toLocaleString("en");
  const value = (name) => (byId(name) ? byId(name).value : "");

  let rows = inOrder;
  let matching = rows;
  let isWhole = false;
  let sorted = null;
  let index = null;

  // --- search ---

  // Built when the page is idle, or first searched: reading every text takes a moment.
  const texts = () => {
    index ??= {
      questions: new Map([...details].map(([n, one]) => [n, {
        text: one.textContent.toLowerCase(),
        passages: [...one.querySelectorAll("a.passage")].map((link) => link.getAttribute("href").slice(1)),
      }])),
      passages: [...document.querySelectorAll("#passages .text")].map((one) => [
        one.querySelector("summary").id,
        one.querySelector("p").textContent.toLowerCase(),
      ]),
    };
    return index;
  };

  const search = () => {
    const words = value("search").toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return () => true;
    const { questions, passages } = texts();
    const found = words.map((word) => new Set(
      passages.filter(([, text]) => text.includes(word)).map(([id]) => id),
    ));
    return (row) => {
      const one = questions.get(row.dataset.n);
      return words.every((word, n) => one.text.includes(word) || one.passages.some((id) => found[n].has(id)));
    };
  };

  // --- filters ---

  const numberIn = (cell) => {
    const number = parseFloat(cell.dataset.exact ?? cell.textContent.replaceAll(",", ""));
    return Number.isNaN(number) ? null : number;
  };

  const isLow = () => {
    const column = names.indexOf(value("metric"));
    if (!value("metric") || column < 0) return () => true;
    const bound = parseFloat(value("below"));
    if (Number.isNaN(bound)) return (row) => row.cells[column].className === "low";
    return (row) => {
      const number = numberIn(row.cells[column]);
      return number !== null && number < bound;
    };
  };

  const isChosen = ({ dataset }) =>
    ["outcome", "pipeline", "flip"].every((name) => !value(name) || dataset[name] === value(name)) &&
    (!value("tag") || (dataset.tags ?? "").split("\n").includes(value("tag")));

  const apply = () => {
    const tests = [isChosen, isLow(), search()];
    matching = rows.filter((row) => tests.every((test) => test(row)));
    draw();
  };

  const draw = () => {
    const shown = new Set(isWhole ? matching : matching.slice(0, FIRST));
    for (const row of rows) {
      if (row.hidden === shown.has(row)) row.hidden = !row.hidden;
    }
    body.classList.add("ready");
    byId("count").textContent = `${counted(matching.length)} of ${counted(rows.length)}`;
    byId("rest").hidden = shown.size === matching.length;
    byId("rest").firstElementChild.textContent = `The first ${counted(shown.size)} are shown.`;
    byId("rest").lastElementChild.textContent = `Show all ${counted(matching.length)}`;
  };

  // --- order ---

  const sort = (column, isRising) => {
    const isNumber = heads[column].dataset.kind === "number";
    const key = (row) => (isNumber ? numberIn(row.cells[column]) : row.cells[column].textContent);
    const keyed = inOrder.map((row) => [key(row), row]);
    keyed.sort(([a], [b]) => {
      // What has no value stands last, whatever the direction.
      if (a === null || b === null) return (a === null) - (b === null);
      const order = a < b ? -1 : a > b ? 1 : 0;
      return isRising ? order : -order;
    });
    arrange(keyed.map(([, row]) => row), { column, isRising });
  };

  const arrange = (order, how) => {
    rows = order;
    sorted = how;
    // Out of the page while they are moved, so that nothing is laid out in between.
    const parts = document.createDocumentFragment();
    for (const row of rows) parts.append(row);
    body.append(parts);
    heads.forEach((head, n) => {
      if (how && n === how.column) head.setAttribute("aria-sort", how.isRising ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
  };

  // --- the address ---

  const state = () => {
    const chosen = new URLSearchParams();
    for (const one of controls) {
      if (one.value) chosen.set(one.id, one.value);
    }
    if (sorted) chosen.set("sort", `${sorted.column}${sorted.isRising ? "" : "-"}`);
    return chosen.size ? `#?${chosen}` : location.pathname + location.search;
  };

  const remember = () => {
    if (!current) history.replaceState(null, "", state());
  };

  // Typing is remembered when it pauses: browsers bound how often an address may change.
  let pause = 0;
  const rememberSoon = () => {
    clearTimeout(pause);
    pause = setTimeout(remember, 250);
  };

  const recall = () => {
    const chosen = new URLSearchParams(location.hash.slice(2));
    for (const one of controls) {
      const wanted = chosen.get(one.id) ?? "";
      // The address may have been typed; a number field says in the console what it cannot take.
      one.value = one.type === "number" && Number.isNaN(Number(wanted)) ? "" : wanted;
    }
    const [, column, falling] = /^(\d+)(-?)$/.exec(chosen.get("sort") ?? "") ?? [];
    if (column !== undefined && Number(column) < heads.length) sort(Number(column), !falling);
    else if (sorted) arrange(inOrder, null);
    apply();
  };

  // --- one question ---

  let current = null;
  let place = 0;

  // The words of a passage come to where they are wanted, with what is closest to a failing claim marked.
  const unfold = (one) => {
    if (one.dataset.unfolded) return;
    one.dataset.unfolded = "yes";
    for (const side of one.querySelectorAll(".side")) {
      const near = [...side.querySelectorAll(".claims:not(.citations) a.near")];
      for (const link of side.querySelectorAll("a.passage")) {
        const id = link.getAttribute("href").slice(1);
        const wanted = near.filter((other) => other.getAttribute("href") === `#${id}`);
        const quote = marked(
          byId(id).parentElement.querySelector("p").textContent,
          wanted.map((other) => other.parentElement.querySelector("q").textContent),
        );
        link.parentElement.dataset.passage = id;
        link.parentElement.append(quote);
        link.replaceWith(link.textContent);
      }
    }
  };

  const marked = (text, parts) => {
    const quote = document.createElement("blockquote");
    quote.dir = "auto";
    const places = parts.map((part) => [text.indexOf(part), part.length]).filter(([start]) => start >= 0);
    let done = 0;
    for (const [start, length] of places.sort(([a], [b]) => a - b)) {
      if (start < done) continue;
      const mark = document.createElement("mark");
      mark.className = "near";
      mark.title = "closest to a claim without support";
      mark.textContent = text.slice(start, start + length);
      quote.append(text.slice(done, start), mark);
      done = start + length;
    }
    quote.append(text.slice(done));
    return quote;
  };

  const close = () => {
    current.classList.remove("current");
    current.open = false;
  };

  const read = (one) => {
    if (current === one) return;
    if (current) close();
    else place = scrollY;
    current = one;
    unfold(one);
    one.open = true;
    one.classList.add("current");
    root.classList.add("reading");
    const at = matching.findIndex((row) => row.dataset.n === one.dataset.n);
    byId("position").textContent = at < 0 ? "" : `${counted(at + 1)} of ${counted(matching.length)}`;
    byId("previous").disabled = at <= 0;
    byId("next").disabled = at + 1 >= matching.length;
    scrollTo(0, 0);
    one.querySelector("summary").focus({ preventScroll: true });
  };

  const leave = () => {
    if (!current) return;
    const link = body.querySelector(`a[href="#q${current.dataset.n}"]`);
    close();
    current = null;
    root.classList.remove("reading");
    scrollTo(0, place);
    link.focus({ preventScroll: true });
  };

  const turn = (step) => {
    const at = matching.findIndex((row) => row.dataset.n === current.dataset.n);
    const row = matching[at + step];
    if (!row) return;
    history.pushState(null, "", `#q${row.dataset.n}`);
    read(details.get(row.dataset.n));
  };

  const follow = () => {
    const target = location.hash.startsWith("#?") ? null : byId(location.hash.slice(1));
    const one = target && target.tagName === "SUMMARY" ? target.parentElement : null;
    if (one && one.parentElement === byId("details")) return read(one);
    leave();
    if (one && one.className === "text") {
      byId("passages").classList.add("used");
      one.open = true;
      target.scrollIntoView();
    }
    if (!location.hash || location.hash.startsWith("#?")) recall();
  };

  // --- what the reader does ---

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => {
      sort(column, sorted && sorted.column === column ? !sorted.isRising : true);
      apply();
      remember();
    });
    head.replaceChildren(button);
  });
  for (const one of controls) {
    const isChoice = one.tagName === "SELECT";
    one.addEventListener(isChoice ? "change" : "input", () => {
      isWhole = false;
      apply();
      if (isChoice) remember();
      else rememberSoon();
    });
  }
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", () => setTimeout(() => {
    apply();
    remember();
  }));
  byId("rest").lastElementChild.addEventListener("click", () => {
    isWhole = true;
    draw();
  });
  byId("back").addEventListener("click", () => {
    leave();
    history.pushState(null, "", state());
  });
  byId("previous").addEventListener("click", () => turn(-1));
  byId("next").addEventListener("click", () => turn(1));
  // The closest passage of a claim is on the same page already.
  byId("details").addEventListener("click", (event) => {
    const link = event.target.closest("a.near");
    if (!link) return;
    event.preventDefault();
    const passage = link.closest(".side").querySelector(`li[data-passage="${link.getAttribute("href").slice(1)}"]`);
    passage.scrollIntoView({ block: "center" });
  });
  addEventListener("hashchange", follow);
  addEventListener("popstate", follow);
  apply();
  follow();
  (window.requestIdleCallback ?? setTimeout)(texts);
})();
