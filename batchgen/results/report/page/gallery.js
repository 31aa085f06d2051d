// The gallery: filters, pages of cards, and going from picture to picture with the arrow keys.

const PAGE_ROWS = 48;
const MOST_CHOICES = 60;
const $ = (id) => document.getElementById(id);
let wished = [];
let pageNumber = 0;
const cards = new Map(); // row id -> { row, marked, node }, so that a picture that is shown is not loaded again

// Cards.

function preview(row, file, label) {
  const thumb = thumbOf(file.thumb);
  if (thumb) return element("img", { src: thumb, alt: label, loading: "lazy", decoding: "async" });
  const original = originalOf(row, file);
  if (file.kind === "video" && original) {
    // Without a thumbnail the film shows its own first frame.
    const film = element("video", { src: `${original}#t=0.1`, preload: "metadata", tabindex: "-1", "aria-label": label });
    film.muted = true;
    return film;
  }
  return element("span", { class: "glyph", role: "img", "aria-label": label }, file.kind === "audio" ? "♪" : "▢");
}

function shot(row, index) {
  const file = row.files[index];
  const mark = markOf(row, file);
  const what = { image: "Picture", video: "Video", audio: "Sound" }[file.kind] || "File";
  const label = `${what} ${index + 1} of ${row.files.length}, row ${row.id}${file.blank ? ", blank" : ""}${mark === "none" ? "" : `, ${mark}`}`;
  const button = element("button", { type: "button", class: `shot ${mark}`, "data-row": row.id, "data-file": index },
    preview(row, file, label));
  if (file.kind === "video") button.append(element("span", { class: "play", "aria-hidden": "true" }, "▶"));
  if (file.blank) button.append(element("span", { class: "blank", "aria-hidden": "true", title: "All of it has one colour" }, "blank"));
  if (mark !== "none") button.append(element("span", { class: "mark", "aria-hidden": "true" }, mark === "accepted" ? "✓" : "✕"));
  return button;
}

function inputPicture(input) {
  const thumb = thumbOf(input.thumb);
  if (thumb) return element("img", { src: thumb, alt: `Input ${input.field}: ${input.text}`, loading: "lazy", decoding: "async" });
  const name = input.text.startsWith("data:") ? "inline file" : input.text.split(/[?#]/)[0].split("/").pop() || input.text;
  return element("span", { class: "named", title: input.text.slice(0, 500) }, element("bdi", null, name.slice(0, 80)));
}

const shapeOf = (files) =>
  files.reduce((sum, file) => sum + (file.width && file.height ? file.width / file.height : 1), 0) / files.length;

/** The number of columns that crops the pictures of a row least in a box of *ratio* (width by height). */
function columnsFor(files, ratio) {
  const mean = shapeOf(files);
  let best = 1;
  let least = Infinity;
  for (let columns = 1; columns <= files.length; columns += 1) {
    const cell = (ratio / columns) * Math.ceil(files.length / columns);
    const crop = Math.abs(Math.log(cell / mean)) + (files.length % columns ? 0.25 : 0);
    if (crop < least) [best, least] = [columns, crop];
  }
  return best;
}

const OUTPUTS_SHARE = 0.72; // of a card that shows inputs, too
let cardRatio = 1.5; // width by height of every card on the page

/** The shape of a card in which the outputs of this row would be whole. */
function wholeRatio(row) {
  const share = row.inputs.length ? OUTPUTS_SHARE : 1;
  const columns = columnsFor(row.files, 1.5 * share);
  return (columns * shapeOf(row.files)) / Math.ceil(row.files.length / columns) / share;
}

/** Choose the one shape of all cards for the rows *here*: rows of one manifest mostly ask for the same size. */
function chooseRatio(here) {
  const ratios = here.filter((row) => row.files.length).map(wholeRatio).sort((a, b) => a - b);
  const middle = ratios.length ? ratios[Math.floor(ratios.length / 2)] : 1.5;
  const chosen = Math.round(Math.min(Math.max(middle, 1.2), 2) * 10) / 10;
  if (chosen === cardRatio) return;
  cardRatio = chosen;
  cards.clear();
  $("gallery").style.setProperty("--ratio", cardRatio);
}

function media(row) {
  const box = element("div", { class: "media" });
  if (row.inputs.length) {
    box.append(element("div", { class: "inputs" }, ...row.inputs.slice(0, 4).map(inputPicture)));
  }
  if (row.files.length) {
    const outputs = element("div", { class: "outputs" }, ...row.files.map((_, index) => shot(row, index)));
    outputs.style.setProperty("--columns", columnsFor(row.files, cardRatio * (row.inputs.length ? OUTPUTS_SHARE : 1)));
    box.append(outputs);
  } else {
    const words = row.reason || `${STATES[row.state]}…`;
    box.append(element("button", { type: "button", class: "shot blank", "data-row": row.id, "data-file": 0 },
      element("span", { class: "unseen" }, `Row ${row.id}, ${STATES[row.state]}: `),
      element("bdi", null, words.length > 220 ? `${words.slice(0, 220)}…` : words)));
  }
  return box;
}

function caption(row) {
  const facts = [];
  if (row.state !== "collected") facts.push(element("span", { class: `pill ${row.state}` }, STATES[row.state]));
  if (row.attempt > 1) facts.push(element("span", null, `attempt ${row.attempt}`));
  if (row.costMicro !== null && row.state !== "pending") {
    facts.push(element("span", { title: row.measured ? "measured" : "estimated" }, `${row.measured ? "" : "about "}${dollars(row.costMicro)}`));
  }
  if (row.tookS !== null) facts.push(element("span", null, duration(row.tookS)));
  return element("div", { class: "caption" },
    element("h3", null, element("bdi", null, row.id)),
    element("p", { class: "facts" }, ...facts),
    row.prompt ? element("p", { class: "prompt", dir: "auto" }, row.prompt.length > 400 ? `${row.prompt.slice(0, 400)}…` : row.prompt) : null);
}

function card(row) {
  const marked = row.files.map((file) => markOf(row, file)).join();
  const known = cards.get(row.id);
  if (known && known.row === row && known.marked === marked) return known.node;
  const node = element("article", { class: `card ${row.state}` }, media(row), caption(row));
  if (known && row.files.length && !known.row.files.length) {
    node.classList.add("landed");
    node.addEventListener("animationend", () => node.classList.remove("landed"), { once: true });
  }
  cards.set(row.id, { row, marked, node });
  return node;
}

// Pages.

/** Make *nodes* the children of *box*; nothing that stands there already is moved, so that no animation starts anew. */
function place(box, nodes) {
  const same = box.children.length === nodes.length && nodes.every((node, n) => box.children[n] === node);
  if (!same) box.replaceChildren(...nodes);
}

const pages = () => Math.max(1, Math.ceil(wished.length / PAGE_ROWS));

function show() {
  pageNumber = Math.min(Math.max(pageNumber, 0), pages() - 1);
  const focused = document.activeElement && document.activeElement.closest("#gallery .shot");
  const here = wished.slice(pageNumber * PAGE_ROWS, (pageNumber + 1) * PAGE_ROWS);
  chooseRatio(here);
  place($("gallery"), here.map(card));
  if (cards.size > PAGE_ROWS * 20) {
    const kept = new Set(here.map((row) => row.id));
    for (const id of cards.keys()) if (!kept.has(id)) cards.delete(id);
  }
  if (focused) focusShot(focused.dataset.row, focused.dataset.file);
  $("pager").hidden = pages() < 2;
  $("page-number").value = pageNumber + 1;
  $("page-count").textContent = `of ${pages().toLocaleString("en")}`;
  $("before").disabled = pageNumber === 0;
  $("after").disabled = pageNumber === pages() - 1;
  const all = rows.length === settings.total ? "" : `, ${(settings.total - rows.length).toLocaleString("en")} still loading`;
  const some = wished.length === rows.length ? "" : ` of ${rows.length.toLocaleString("en")}`;
  $("found").textContent = `${wished.length.toLocaleString("en")}${some} ${rows.length === 1 ? "row" : "rows"}${all}`;
  $("clear").hidden = wished.length === rows.length;
  const rejected = [...marks.values()].filter((mark) => mark === "rejected").length;
  $("rejected").hidden = !rejected;
  $("rejected-count").textContent = `${rejected.toLocaleString("en")} rejected.`;
}

function focusShot(rowId, file) {
  const found = [...document.querySelectorAll("#gallery .shot")].find(
    (each) => each.dataset.row === rowId && each.dataset.file === String(file));
  if (found) found.focus({ preventScroll: true });
}

/** Filter and sort anew, and show the first page, or the one that is shown if *stay*. */
function renew(stay) {
  wished = wishedRows();
  if (!stay) pageNumber = 0;
  show();
}

function turn(pageBy, focus) {
  const before = pageNumber;
  pageNumber += pageBy;
  show();
  if (pageNumber === before) return;
  const shots = document.querySelectorAll("#gallery .shot");
  if (focus && shots.length) shots[focus === "last" ? shots.length - 1 : 0].focus();
  else $("pictures").scrollIntoView();
}

/** Go to the next or the previous picture, over the edge of a page too. */
function step(by) {
  const shots = [...document.querySelectorAll("#gallery .shot")];
  const now = shots.indexOf(document.activeElement);
  const next = now < 0 ? 0 : now + by;
  if (next < 0) turn(-1, "last");
  else if (next >= shots.length) turn(1, "first");
  else shots[next].focus();
}

// Filters.

function choice(name, title, values, chosen, words) {
  const select = element("select", { "data-choice": name, "aria-label": title },
    element("option", { value: "" }, title),
    ...values.map(([value, count]) => element("option", { value, selected: value === chosen },
      `${words ? words(value) : value.slice(0, 80)} (${count.toLocaleString("en")})`)));
  if (chosen && !values.some(([value]) => value === chosen)) {
    select.append(element("option", { value: chosen, selected: true }, chosen.slice(0, 80)));
  }
  return select;
}

/** The filters that these rows can have: models, values of meta columns, marks. */
function offerChoices() {
  const offered = [];
  const models = tally(rows.map((row) => row.model));
  if (models.length > 1 || wish.model) offered.push(choice("model", "Every model", models, wish.model));
  const names = new Set(rows.flatMap((row) => Object.keys(row.meta)));
  for (const name of names) {
    const values = tally(rows.filter((row) => name in row.meta).map((row) => row.meta[name]));
    if (values.length <= MOST_CHOICES && (values.length > 1 || wish.meta[name])) {
      offered.push(choice(`meta.${name}`, `Every ${name}`, values, wish.meta[name]));
    }
  }
  if (marks.size || settings.live) {
    const counts = tally([...marks.values()]);
    const every = ["accepted", "rejected"].map((mark) => counts.find(([name]) => name === mark) || [mark, 0]);
    offered.push(choice("mark", "Every mark", every, wish.mark));
  }
  if (wish.cause) offered.push(choice("cause", "Every cause", tally(rows.map((row) => row.cause).filter(Boolean)), wish.cause));
  const focused = document.activeElement && document.activeElement.dataset.choice;
  $("choices").replaceChildren(...offered);
  const again = [...$("choices").children].find((each) => each.dataset.choice === focused);
  if (focused && again) again.focus();
}

function offerStates() {
  const counts = new Map(tally(rows.map((row) => row.state)));
  const focused = document.activeElement && document.activeElement.dataset.state;
  const chips = Object.keys(STATES).filter((state) => counts.has(state) || wish.states.has(state)).map((state) =>
    element("button", { type: "button", class: "chip", "data-state": state, "aria-pressed": String(wish.states.has(state)) },
      element("span", { class: `dot ${state}`, "aria-hidden": "true" }),
      `${STATES[state]} ${(counts.get(state) || 0).toLocaleString("en")}`));
  $("states").replaceChildren(...(chips.length > 1 || wish.states.size ? chips : []));
  const again = [...$("states").children].find((each) => each.dataset.state === focused);
  if (focused && again) again.focus();
}

function offer() {
  offerChoices();
  offerStates();
}

function fromAddress() {
  readAddress();
  if ($("search").value.toLowerCase() !== wish.text) $("search").value = wish.text;
  $("sort").value = wish.sort;
  offer();
  renew();
}

function wishChanged() {
  writeAddress();
  offer();
  renew();
}

let typing = 0;
$("search").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    wish.text = $("search").value.trim().toLowerCase();
    wishChanged();
  }, 120);
});
$("filters").addEventListener("submit", (event) => event.preventDefault());
$("sort").addEventListener("change", () => { wish.sort = $("sort").value; wishChanged(); });
$("choices").addEventListener("change", (event) => {
  const name = event.target.dataset.choice;
  if (name.startsWith("meta.")) wish.meta[name.slice(5)] = event.target.value;
  else wish[name] = event.target.value;
  wishChanged();
});
$("states").addEventListener("click", (event) => {
  const chip = event.target.closest(".chip");
  if (!chip) return;
  const state = chip.dataset.state;
  if (!wish.states.delete(state)) wish.states.add(state);
  wishChanged();
});
$("clear").addEventListener("click", () => {
  history.replaceState(null, "", "#pictures");
  fromAddress();
  $("search").focus();
});
$("before").addEventListener("click", () => turn(-1));
$("after").addEventListener("click", () => turn(1));
$("page-number").addEventListener("change", () => {
  const asked = parseInt($("page-number").value, 10);
  turn((Number.isNaN(asked) ? pageNumber + 1 : asked) - 1 - pageNumber);
});
addEventListener("hashchange", () => {
  if (!location.hash.includes("=")) return;
  fromAddress();
  $("pictures").scrollIntoView();
});

document.addEventListener("click", async (event) => {
  const copy = event.target.closest(".copy");
  if (!copy) return;
  const code = copy.parentElement.querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent);
    copy.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(code); // no clipboard here: it is marked, so that it can be copied by hand
  }
});

document.addEventListener("keydown", (event) => {
  if ($("large").open || event.ctrlKey || event.metaKey || event.altKey) return;
  const inField = event.target.closest("input, select, textarea");
  if (event.key === "/" && !inField) {
    event.preventDefault();
    $("search").focus();
  } else if (event.key === "Escape" && event.target === $("search")) {
    $("search").blur();
  } else if (!inField && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
    event.preventDefault();
    const by = event.key === "ArrowRight" ? 1 : -1;
    if (event.shiftKey) turn(by, "first");
    else step(by);
  }
});
