// Makes the gallery live: uploads in the background, cards that follow their
// picture, the handle between before and after. Every page works without it.

const gallery = document.querySelector(".gallery");
const form = document.querySelector("form.upload");

/** Milliseconds between two looks at a picture: prompt at first, then patient. */
const patience = (looks) => Math.min(250 * 1.3 ** looks, 5000);

async function follow(card) {
  for (let looks = 0; card.isConnected && "pending" in card.dataset; looks++) {
    await new Promise((wake) => setTimeout(wake, patience(looks)));
    const next = await fetchCard(card.id).catch(() => card);
    if (next === null) return card.remove();
    if (next !== card && next.dataset.status !== card.dataset.status) {
      card.replaceWith(next);
      card = next;
    }
  }
}

/** The card of a picture; null if the picture is gone. */
async function fetchCard(uuid) {
  const response = await fetch(`/gallery/${uuid}/card`);
  if (response.status === 404) return null;
  if (!response.ok) throw new Error(`card: ${response.status}`);
  const template = document.createElement("template");
  template.innerHTML = await response.text();
  return template.content.firstElementChild;
}

async function upload(file) {
  const body = new FormData();
  body.append("file", file);
  const response = await fetch("/images", { method: "POST", body });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.detail || `The upload failed (${response.status}).`);
  const card = await fetchCard(answer.uuid);
  document.querySelector(".empty")?.remove();
  gallery.prepend(card);
  follow(card);
}

function wireUpload() {
  const [input, drop, button, error, prompt] = ["input", ".drop", "button", ".error", ".prompt"]
    .map((selector) => form.querySelector(selector));
  const idle = prompt.innerHTML;

  const send = async (files) => {
    button.disabled = true;
    error.hidden = true;
    for (const file of files) {
      prompt.textContent = `Sending ${file.name}…`;
      try {
        await upload(file);
      } catch (problem) {
        error.textContent = `${file.name}: ${problem.message}`;
        error.hidden = false;
      }
    }
    prompt.innerHTML = idle;
    button.disabled = false;
    form.reset();
  };

  input.multiple = true;
  // With JavaScript, choosing is enough.
  button.hidden = true;
  input.addEventListener("change", () => send([...input.files]));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send([...input.files]);
  });
  for (const [name, over] of [["dragenter", true], ["dragover", true], ["dragleave", false], ["drop", false]]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", over);
    });
  }
  drop.addEventListener("drop", (event) => send([...event.dataTransfer.files]));
}

document.addEventListener("input", ({ target }) => {
  if (target.matches?.(".handle")) target.parentElement.style.setProperty("--split", `${target.value}%`);
});
if (form && gallery) wireUpload();
document.querySelectorAll("[data-pending]").forEach(follow);
