// Quizzes: the options of a question become fields, and the reader's progress is kept in the
// browser. Without this script the same page shows options, answers and reasons as text.
{
  const { chapter, progress } = document.currentScript.dataset;

  // Memory: {read: {CHAPTER: true}, answers: {QUESTION: {first: true, last: false}}}. A browser may
  // refuse to remember anything, as many do in a private window.

  const NAME = "image-classification-course";

  function recall() {
    let memory = null;
    try { memory = JSON.parse(localStorage.getItem(NAME)); } catch { /* Nothing is remembered. */ }
    return { read: {}, answers: {}, ...memory };
  }

  function remember(change) {
    const memory = recall();
    change(memory);
    try {
      localStorage.setItem(NAME, JSON.stringify(memory));
      return true;
    } catch {
      return false;
    }
  }

  const remembers = remember(() => {});

  function make(tag, properties, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  // Questions: each option is a field with its label, and under it, later, the reason.

  const LETTERS = "abcdefgh";
  const COUNTS = ["", "an answer", "two answers", "three answers"];

  function makeOption(option, index, question) {
    const letter = LETTERS[index];
    const type = question.dataset.right.length > 1 ? "checkbox" : "radio";
    const words = option.querySelector("p") ?? option;
    const input = make("input", { type, name: question.id, value: letter });
    const reason = make("div", { id: `${question.id}-${letter}`, hidden: true });
    reason.className = "quiz-reason";
    const label = make("label", {}, input, make("span", {}, ...words.childNodes));
    return make("div", { className: "quiz-option" }, label, reason);
  }

  function showReason(option, question) {
    const input = option.querySelector("input"), reason = option.querySelector(".quiz-reason");
    const isRight = question.dataset.right.includes(input.value);
    const source = question.querySelector(`details .quiz-reason-${input.value}`).cloneNode(true);
    // A copied formula has no menu that the keyboard could open.
    for (const part of source.querySelectorAll("[tabindex]")) part.removeAttribute("tabindex");
    const start = document.createTreeWalker(source, NodeFilter.SHOW_TEXT).nextNode();
    start.textContent = start.textContent.replace(/^\s*\w\) (?=[A-Z]|$)/, ""); // The label has it.
    const sign = make("span", { ariaHidden: "true" }, isRight ? "✓ " : "✗ ");
    reason.replaceChildren(sign, ...(source.querySelector("p") ?? source).childNodes);
    reason.hidden = false;
    option.classList.add(isRight ? "is-right" : "is-wrong");
    input.setAttribute("aria-describedby", reason.id);
  }

  function hideReason(option) {
    option.querySelector(".quiz-reason").hidden = true;
    option.classList.remove("is-right", "is-wrong");
    option.querySelector("input").removeAttribute("aria-describedby");
  }

  function makeQuestion(question) {
    const { key, right } = question.dataset;
    const [text, list] = question.children;
    const options = [...list.querySelectorAll(".quiz-option")]
      .map((option, index) => makeOption(option, index, question));
    const again = make("button", { type: "button", hidden: true }, "Try again");
    const result = make("p", { className: "quiz-result" });
    const group = make("div", {}, ...options);
    const form = make("form", { className: "quiz-form" }, group,
      make("div", { className: "quiz-buttons" }, make("button", {}, "Check"), again, result));
    text.id = `${question.id}-text`;
    group.setAttribute("role", right.length > 1 ? "group" : "radiogroup");
    group.setAttribute("aria-labelledby", text.id);
    result.setAttribute("role", "status");

    function clear() {
      options.forEach(hideReason);
      again.hidden = true;
      result.textContent = "";
    }

    function check(event) {
      event.preventDefault();
      const chosen = new FormData(form).getAll(question.id);
      if (chosen.length !== right.length) {
        result.textContent = `Choose ${COUNTS[right.length]} first.`;
        return;
      }
      const hits = chosen.filter((letter) => right.includes(letter)).length;
      const isRight = hits === right.length;
      const named = [...right].join(" and ");
      options.forEach((option) => showReason(option, question));
      again.hidden = false;
      result.textContent = isRight ? `✓ Right: ${named}.`
        : right.length === 1 ? `✗ Not right: the right answer is ${named}.`
        : `✗ You chose ${hits} of the ${right.length} right answers: ${named}.`;
      remember(({ answers }) => {
        answers[key] = { first: answers[key]?.first ?? isRight, last: isRight };
      });
    }

    form.addEventListener("submit", check);
    form.addEventListener("input", clear);
    again.addEventListener("click", () => {
      form.reset();
      clear();
      form.querySelector("input").focus();
    });
    list.replaceWith(form);
    question.classList.add("is-live");
  }

  // The end of a chapter: the reader says that it has been read.

  function addReadBox() {
    const box = make("input", { type: "checkbox" });
    const show = () => { box.checked = chapter in recall().read; };
    box.addEventListener("change", () => remember(({ read }) => {
      if (box.checked) read[chapter] = true;
      else delete read[chapter];
    }));
    addEventListener("pageshow", show);
    show();
    const said = remembers ? make("label", {}, box, "I have read this chapter")
      : "This browser does not remember your progress.";
    const end = make("p", { className: "chapter-read" }, said);
    if (progress) end.append(make("a", { href: progress }, "Your progress"));
    document.querySelector("article").append(end);
  }

  // The page of the progress.

  function showProgress(tool) {
    const { read, answers } = recall();
    const total = { chapters: 0, read: 0, questions: 0, right: 0 };
    for (const row of tool.querySelectorAll("tbody tr")) {
      const questions = [...row.querySelectorAll("li")];
      const count = (what) => questions.filter(({ dataset }) => answers[dataset.key]?.[what]).length;
      for (const item of questions) item.hidden = answers[item.dataset.key]?.last !== false;
      const isRead = row.dataset.chapter in read;
      row.querySelector(".progress-read").textContent = isRead ? "✓ yes" : "no";
      row.querySelector(".progress-right").textContent = `${count("last")} of ${questions.length}`;
      row.querySelector(".progress-first").textContent = count("first");
      total.chapters += 1;
      total.read += isRead;
      total.questions += questions.length;
      total.right += count("last");
    }
    tool.querySelector(".progress-summary").textContent = remembers
      ? `You have read ${total.read} of ${total.chapters} chapters and answered ${total.right} of `
        + `${total.questions} questions correctly.`
      : "This browser does not remember your progress, perhaps because the window is private.";
  }

  function openProgress(tool) {
    const forget = tool.querySelector(".progress-forget");
    forget.hidden = !remembers;
    forget.addEventListener("click", () => {
      if (!confirm("Forget which chapters you have read and all your answers?")) return;
      localStorage.removeItem(NAME);
      showProgress(tool);
    });
    tool.hidden = false;
    showProgress(tool);
    // Another window may change it, and so may a page from which the reader comes back.
    for (const event of ["storage", "pageshow"]) addEventListener(event, () => showProgress(tool));
  }

  const questions = document.querySelectorAll(".quiz-question");
  questions.forEach(makeQuestion);
  if (questions.length) addReadBox();
  document.querySelectorAll(".progress-tool").forEach(openProgress);
}
