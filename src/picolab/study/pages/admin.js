// Live progress. Asks every five seconds; changes nothing.

const by = (id) => document.getElementById(id);
const EVERY = 5000;

function figure(name, value) {
  const box = document.createElement("div");
  const term = document.createElement("dt");
  const number = document.createElement("dd");
  term.textContent = name;
  number.textContent = value;
  box.append(term, number);
  return box;
}

function row(rating, low, high) {
  const line = document.createElement("tr");
  const cells = [
    rating.codec, rating.rate, rating.bpp.toFixed(3), Math.round(rating.elo),
    `${Math.round(rating.low)} to ${Math.round(rating.high)}`, "", rating.votes,
  ];
  for (const text of cells) line.insertCell().textContent = text;
  const range = document.createElement("span");
  const across = document.createElement("i");
  const middle = document.createElement("b");
  const at = (elo) => (100 * (elo - low)) / (high - low);
  range.className = "range";
  across.style.left = `${at(rating.low)}%`;
  across.style.width = `${at(rating.high) - at(rating.low)}%`;
  middle.style.left = `${at(rating.elo)}%`;
  range.append(across, middle);
  line.cells[5].append(range);
  return line;
}

function show(state) {
  by("login").hidden = true;
  by("progress").hidden = false;
  by("title").textContent = state.title;
  const count = (name) => state.progress[name] || 0;
  by("figures").replaceChildren(
    figure("finished, of", `${count("sessions done")} / ${state.raters}`),
    figure("on their way", count("sessions display") + count("sessions plates") + count("sessions screening") + count("sessions trials")),
    figure("not admitted", count("sessions rejected")),
    figure("comparisons", count("answers pair")),
    figure("traps answered", count("answers trap")),
  );
  by("taken").textContent = state.taken
    ? `As of ${new Date(state.taken).toLocaleTimeString()}, by the quick approximation; picolab study rate is thorough.`
    : "None yet.";
  const low = Math.min(...state.ratings.map((r) => r.low));
  const high = Math.max(...state.ratings.map((r) => r.high));
  by("ratings").replaceChildren(...state.ratings.map((r) => row(r, low, high)));
}

async function refresh() {
  const answer = await fetch("/admin/state");
  if (answer.status === 401) {
    by("login").hidden = false;
    by("progress").hidden = true;
    return;
  }
  if (answer.ok) show(await answer.json());
  setTimeout(() => refresh().catch(() => setTimeout(refresh, EVERY)), EVERY);
}

async function enter() {
  const answer = await fetch("/admin/login", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token: by("token").value.trim() }),
  });
  by("refused").textContent = answer.ok ? "" : (await answer.json()).error;
  if (answer.ok) await refresh();
}

by("enter").onclick = enter;
by("token").onkeydown = (event) => { if (event.key === "Enter") enter(); };
refresh();
