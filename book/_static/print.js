// What is folded on the screen is open on paper, and folded again afterwards.
let folded = [];

addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  folded.forEach((part) => { part.open = true; });
});

addEventListener("afterprint", () => {
  folded.forEach((part) => { part.open = false; });
});
