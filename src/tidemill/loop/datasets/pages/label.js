"use strict";
const at = (id) => document.getElementById(id);
const typed = at("typed");
let task = null, classes = [], busy = false;

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  Object.assign(made, attributes);
  return made;
}

function progress(queue) {
  const done = queue.size - queue.left;
  at("done").textContent = `${done.toLocaleString()} of ${queue.size.toLocaleString()} done`;
  at("bar").style.width = `${(100 * done) / queue.size}%`;
  const rows = new Map(queue.people.map((p) => [p.author, { ...p, row: "" }]));
  for (const lease of queue.leases) {
    const person = rows.get(lease.author) ?? { author: lease.author, labels: 0, decided: 0, skipped: 0 };
    rows.set(lease.author, { ...person, row: person.row ? `${person.row}, ${lease.row}` : lease.row });
  }
  at("people").replaceChildren(...[...rows.values()].map((p) => {
    const line = document.createElement("tr");
    line.append(element("th", p.author, { scope: "row" }));
    for (const count of [p.labels, p.decided, p.skipped]) line.append(element("td", count.toLocaleString(), { className: "n" }));
    line.append(element("td", p.row));
    return line;
  }));
}

function draw(state) {
  task = state.task;
  classes = state.queue.classes;
  progress(state.queue);
  typed.value = "";
  at("message").textContent = state.message || (task ? "" : over(state.queue));
  at("picture").replaceChildren(...(task?.picture ? [element("img", "", { src: `data:image/png;base64,${task.picture}`, alt: "The row's image" })] : []));
  const facts = task ? [...Object.entries(task.cells), ...task.votes.map((v) => [`${v.author} said`, v.label])] : [];
  if (task?.given != null) facts.push(["now", task.given]);
  at("cells").replaceChildren(...facts.flatMap(([name, value]) => [element("dt", name), element("dd", value ?? "–")]));
  at("role").textContent = task?.role === "referee" ? "Disputed: you decide." : "";
  at("suggestion").textContent = task?.suggestion != null ? `${Math.round(100 * task.confidence)} % ${task.suggestion}` : "";
  at("classes").replaceChildren(...(task ? classes.map(choice) : []));
  typed.disabled = !task;
  if (task) typed.focus();
}

function choice(one) {
  const button = element("button", "", { type: "button", className: one.name === task.suggestion ? "suggested" : "" });
  if (one.key) button.append(element("kbd", one.key));
  button.append(element("span", one.name));
  button.onclick = () => send("answer", { label: one.name });
  return button;
}

function over(queue) {
  if (queue.left === 0) return "Every row has its label.";
  return `There is no row for you now; ${queue.left.toLocaleString()} still need a label of others, or you skipped them.`;
}

async function send(what, body = {}) {
  if (busy) return;
  busy = true;
  try {
    const answer = await fetch(what, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ ...body, position: task?.position }) });
    draw(await answer.json());
  } catch {
    at("message").textContent = "The server does not answer; is it still running?";
  } finally {
    busy = false;
  }
}

const fitting = () => {
  const words = typed.value.trim().toLowerCase();
  const exact = classes.filter((c) => c.name.toLowerCase() === words);
  return !words ? [] : exact.length ? exact : classes.filter((c) => c.name.toLowerCase().startsWith(words));
};

document.addEventListener("keydown", (event) => {
  if (!task || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Enter" && !(event.target instanceof HTMLButtonElement)) {
    event.preventDefault();
    const fit = fitting();
    if (!typed.value.trim()) send("answer", { label: null });
    else if (fit.length === 1) send("answer", { label: fit[0].name });
    else at("message").textContent = fit.length ? `That may be ${fit.map((c) => c.name).join(", ")}.` : "That is no class.";
    return;
  }
  if (typed.value) {
    if (event.key === "Escape") typed.value = "";
    return;
  }
  const own = classes.find((c) => c.key === event.key);
  if (own) send("answer", { label: own.name });
  else if (event.key === " " && !(event.target instanceof HTMLButtonElement)) send("skip");
  else if (event.key === "Backspace") send("undo");
  else return;
  event.preventDefault();
});
typed.addEventListener("input", () => {
  const fit = fitting().map((c) => c.name);
  [...at("classes").children].forEach((b, i) => b.classList.toggle("fits", fit.includes(classes[i].name)));
});
at("typing").addEventListener("submit", (event) => event.preventDefault());
setInterval(async () => {
  if (!document.hidden) try { progress((await (await fetch("progress")).json()).queue); } catch { /* said at the next answer */ }
}, 3000);
send("task");
