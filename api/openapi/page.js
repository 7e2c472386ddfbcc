"use strict";
// Shows the operations and schemas that have every word of the search.
const search = document.getElementById("search");
const input = search.querySelector("input");
const status = search.querySelector("span");
const articles = [...document.querySelectorAll("article")];
const texts = articles.map((article) => article.textContent.toLowerCase());
const sections = [...document.querySelectorAll("section")];

function filter() {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  articles.forEach((article, at) => {
    article.hidden = !words.every((word) => texts[at].includes(word));
    found += article.hidden ? 0 : 1;
  });
  for (const section of sections) {
    const own = [...section.querySelectorAll("article")];
    section.hidden = own.length > 0 && own.every((article) => article.hidden);
  }
  status.textContent = words.length ? `${found} found` : "";
}

search.hidden = false;
input.addEventListener("input", filter);
window.addEventListener("hashchange", () => {
  const target = document.getElementById(location.hash.slice(1));
  if (target && target.closest("[hidden]")) {
    input.value = "";
    filter();
    target.scrollIntoView();
  }
});
