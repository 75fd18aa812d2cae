// Comfort only: every page works without this file.
"use strict";

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const search = document.querySelector("[data-search]");
    if (search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  } else if (event.key === "Escape" && typing) {
    event.target.blur();
  }
});

// Selecting text in a line must not open it.
document.addEventListener("click", (event) => {
  const line = event.target.closest("summary");
  if (line && !event.target.closest("a") && String(document.getSelection()).length > 0) {
    event.preventDefault();
  }
});
