// Search, filters and ticks. Without this script the page says all that it has to say.
"use strict";
{
  const people = [...document.querySelectorAll("#people > li")];
  const filters = document.querySelector("#filters");
  const [search, kind, platform] = ["search", "kind", "platform"].map(id => document.querySelector("#" + id));
  const shown = document.querySelector("#shown");
  const plain = text => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  const texts = new Map(people.map(person => [person, plain(person.textContent)]));

  function filter() {
    const words = plain(search.value).split(/\s+/).filter(Boolean);
    let count = 0;
    for (const person of people) {
      const fits = (!kind.value || person.dataset.kind === kind.value) &&
        (!platform.value || person.dataset.platforms.split(" ").includes(platform.value)) &&
        words.every(word => texts.get(person).includes(word));
      person.hidden = !fits;
      count += fits;
    }
    shown.textContent = count === people.length ? "" : `${count} of ${people.length} people`;
  }

  for (const control of [search, kind, platform]) {
    control.addEventListener("input", filter);
  }
  filters.hidden = false;
  filter();

  // A tick is kept in this browser; `make done` records it for everybody.
  for (const box of document.querySelectorAll("input[data-tick]")) {
    const key = "charter-mail " + box.dataset.tick;
    try {
      box.checked = box.checked || localStorage.getItem(key) === "done";
      box.addEventListener("change", () => box.checked ? localStorage.setItem(key, "done") : localStorage.removeItem(key));
      box.closest("label").hidden = false;
    } catch {
      // A browser that keeps nothing has no ticks.
    }
  }
}
