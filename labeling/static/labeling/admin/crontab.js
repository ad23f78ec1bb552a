// On the page of a periodic task: the crontab that is chosen, in words. In a file of its own,
// for our content policy runs no script that stands in a page.

const words = JSON.parse(document.getElementById("readable-crontabs")?.textContent ?? "{}");
const choice = document.getElementById("id_crontab");

document.querySelector(".field-crontab_translation")?.setAttribute("hidden", "");

if (choice) {
  const shown = document.createElement("p");
  shown.setAttribute("aria-live", "polite");
  choice.closest(".field-crontab")?.append(shown);
  const tell = () => {
    shown.textContent = words[choice.value] ?? "";
  };
  choice.addEventListener("change", tell);
  tell();
}
