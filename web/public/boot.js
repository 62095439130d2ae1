// Runs before and apart from the page's own script: when that cannot be loaded or does not start,
// the figures are shown as plain HTML instead of a dark screen, and the wall is tried again after a while.
(function () {
  'use strict';
  var STARTS_WITHIN_MS = 20000;
  var root = document.documentElement;
  function plain() {
    if (root.hasAttribute('data-started')) return;
    location.replace('/lite?wall=' + encodeURIComponent(location.pathname + location.search) + '&lang=' + language());
  }
  // As the wall itself chooses: its address, else what was chosen last here, else Chinese.
  function language() {
    var asked = /[?&]lang=([^&]*)/.exec(location.search);
    try {
      return (asked ? asked[1] : localStorage.getItem('tidemark.language')) === 'en' ? 'en' : 'zh';
    } catch {
      return 'zh';
    }
  }
  addEventListener(
    'error',
    function (event) {
      if (event.target && event.target.tagName === 'SCRIPT') plain();
    },
    true,
  );
  setTimeout(plain, STARTS_WITHIN_MS);
})();
