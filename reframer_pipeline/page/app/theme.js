/* Dark or light, before anything is drawn: what the person chose, else what their system says.
   What belongs here: that choice alone. It is no module, so that the first picture has the right colours already. */
"use strict";
{
  const chosen = localStorage.getItem("reframer.theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
}
