"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const table = byId("table");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const details = new Map([...byId("details").children].map((one) => [one.dataset.n, one]));
  const controls = ["search", "outcome", "pipeline", "tag", "metric", "below", "flip"].map(byId).filter(Boolean);
  const metricColumns = new Map([...table.tHead.rows[0].cells].map((cell, n) => [cell.textContent, n]));
  let texts = null;
  let sorted = { column: -1, isRising: true };

  const value = (name) => (byId(name) ? byId(name).value : "");

  // Built when it is first searched: reading the text of every question takes a moment.
  const textOf = (row) => {
    texts ??= new Map(rows.map((one) => [one, details.get(one.dataset.n).textContent.toLowerCase()]));
    return texts.get(row);
  };

  const isShown = (row, words) => {
    const { outcome, pipeline, tags, flip } = row.dataset;
    if (value("outcome") && outcome !== value("outcome")) return false;
    if (value("pipeline") && pipeline !== value("pipeline")) return false;
    if (value("tag") && !tags.split("\n").includes(value("tag"))) return false;
    if (value("flip") && flip !== value("flip")) return false;
    if (value("metric")) {
      const found = parseFloat(row.cells[metricColumns.get(value("metric"))].textContent);
      if (!(found <= parseFloat(value("below")))) return false;
    }
    return words.every((word) => textOf(row).includes(word));
  };

  const filter = () => {
    const words = value("search").toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      row.hidden = !isShown(row, words);
      count += !row.hidden;
    }
    byId("count").textContent = `${count.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
    remember();
  };

  const keyOf = (row, column, isNumber) => {
    const text = row.cells[column].textContent;
    if (!isNumber) return text;
    const number = parseFloat(text.replaceAll(",", ""));
    return Number.isNaN(number) ? null : number;
  };

  const sort = (column, isRising) => {
    const head = [...table.tHead.rows[0].cells];
    const isNumber = head[column].dataset.kind === "number";
    const keyed = rows.map((row) => [keyOf(row, column, isNumber), row]);
    keyed.sort(([a], [b]) => {
      // What has no value stands last, whatever the direction.
      if (a === null || b === null) return (a === null) - (b === null);
      const order = isNumber ? a - b : a < b ? -1 : a > b ? 1 : 0;
      return isRising ? order : -order;
    });
    body.append(...keyed.map(([, row]) => row));
    head.forEach((cell, n) => {
      if (n === column) cell.setAttribute("aria-sort", isRising ? "ascending" : "descending");
      else cell.removeAttribute("aria-sort");
    });
    sorted = { column, isRising };
  };

  const remember = () => {
    const state = new URLSearchParams();
    for (const one of controls) {
      if (one.value && (one.id !== "below" || value("metric"))) state.set(one.id, one.value);
    }
    if (sorted.column >= 0) state.set("sort", `${sorted.column}${sorted.isRising ? "" : "-"}`);
    history.replaceState(null, "", state.size ? `#?${state}` : location.pathname + location.search);
  };

  const recall = () => {
    const state = new URLSearchParams(location.hash.slice(2));
    for (const one of controls) {
      if (state.has(one.id)) one.value = state.get(one.id);
    }
    const order = state.get("sort");
    if (order) sort(parseInt(order, 10), !order.endsWith("-"));
  };

  // The words of a passage come to where they are wanted, with what is closest to a failing claim marked.
  const unfold = (one) => {
    const near = [...one.querySelectorAll(".claims q")].map((quote) => quote.textContent);
    for (const link of one.querySelectorAll("a.passage")) {
      const passage = byId(link.hash.slice(1)).parentElement.querySelector("p").textContent;
      const quote = document.createElement("blockquote");
      quote.dir = "auto";
      const found = near.map((text) => [passage.indexOf(text), text]).find(([place]) => place >= 0);
      if (found) {
        const mark = document.createElement("mark");
        mark.className = "near";
        mark.textContent = found[1];
        quote.append(passage.slice(0, found[0]), mark, passage.slice(found[0] + found[1].length));
      } else {
        quote.textContent = passage;
      }
      link.parentElement.append(quote);
    }
  };

  const open = (summary) => {
    const one = summary.parentElement;
    one.open = true;
    one.scrollIntoView({ block: "start" });
    summary.focus({ preventScroll: true });
  };

  const follow = () => {
    if (location.hash.startsWith("#?")) {
      recall();
    } else if (location.hash) {
      const target = byId(location.hash.slice(1));
      if (target && target.tagName === "SUMMARY") open(target);
    }
  };

  document.documentElement.classList.add("scripted");
  byId("filters").hidden = false;
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = cell.textContent;
    button.addEventListener("click", () => {
      sort(column, sorted.column === column ? !sorted.isRising : true);
      remember();
    });
    cell.replaceChildren(button);
  });
  controls.forEach((one) => one.addEventListener(one.tagName === "SELECT" ? "change" : "input", filter));
  byId("details").addEventListener("toggle", (event) => {
    const one = event.target;
    if (!one.open || one.dataset.unfolded) return;
    one.dataset.unfolded = "yes";
    unfold(one);
  }, true);
  body.addEventListener("click", (event) => {
    const link = event.target.closest("a");
    if (!link) return;
    event.preventDefault();
    history.pushState(null, "", link.hash);
    open(byId(link.hash.slice(1)));
  });
  addEventListener("hashchange", follow);
  addEventListener("popstate", follow);
  follow();
  const count = rows.length.toLocaleString("en");
  byId("count").textContent = `${count} of ${count}`;
  if (location.hash.startsWith("#?")) filter();
})();
