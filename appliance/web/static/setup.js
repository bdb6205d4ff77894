// A link carries its code behind "#", so that it stands in no log. Take it out of the address, and send it. A new link
// that is opened in the same tab changes nothing but what stands behind "#".
"use strict";
(() => {
  const field = document.getElementById("code");
  if (!field) return;
  function use() {
    const code = decodeURIComponent(location.hash.slice(1));
    if (!code) return;
    history.replaceState(null, "", location.pathname);
    field.value = code;
    field.form.requestSubmit();
  }
  addEventListener("hashchange", use);
  use();
})();
