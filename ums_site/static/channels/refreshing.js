"use strict";
// While a refresh waits or runs, looks again every two seconds.
document.addEventListener("DOMContentLoaded", () => {
  if (document.querySelector("[data-refreshing]")) window.setTimeout(() => window.location.reload(), 2000);
});
