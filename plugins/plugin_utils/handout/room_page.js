// Who has fetched, as it happens. Without this script the page says it when it is loaded again.
"use strict";
{
  const marks = [...document.querySelectorAll("[data-state]")];
  const gone = document.querySelector("#gone");
  async function look() {
    try {
      const answer = await fetch(location.pathname + "/state", {cache: "no-store"});
      const times = await answer.json();
      marks.forEach((mark, place) => {
        mark.textContent = times[place] ? `fetched ${times[place]}` : "not yet";
        mark.className = `mark ${times[place] ? "ok" : "skip"}`;
      });
      gone.textContent = "";
    } catch {
      gone.textContent = "No answer: it has ended, and then no code on this page works, or the network of this computer is another one now.";
    }
    setTimeout(look, 2000);
  }
  look();
}
