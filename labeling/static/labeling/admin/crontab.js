// Shows the chosen crontab in words on the page of a periodic task. It is a file of its own,
// because our content security policy runs no inline scripts.

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
