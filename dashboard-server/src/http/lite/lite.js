// Takes the plain page anew without leaving it: a reload while the server is away would end at the browser's own
// page of errors, and stay there. Old browsers come here because the wall does not run in them: nothing newer than
// ECMAScript 5. Without scripts the page reloads itself.
(function () {
  'use strict';
  var EVERY_MS = 10000;
  var gone = null;

  function say(text) {
    var line = document.getElementById('gone');
    line.textContent = text;
    line.hidden = text === '';
  }

  function two(number) {
    return (number < 10 ? '0' : '') + number;
  }

  function failed() {
    gone = gone || new Date();
    var at = two(gone.getHours()) + ':' + two(gone.getMinutes()) + ':' + two(gone.getSeconds());
    say(document.body.getAttribute('data-gone').replace('{at}', at));
    setTimeout(next, EVERY_MS);
  }

  function next() {
    var wanted = document.body.getAttribute('data-next');
    var request = new XMLHttpRequest();
    request.open('GET', wanted);
    request.responseType = 'document';
    request.timeout = EVERY_MS;
    request.onload = function () {
      var fresh = request.response;
      // Too many at once, or the server is going: what is here stays, with the time since when.
      if (request.status >= 500 || request.status === 429 || !fresh) return failed();
      // The wall, or a page that asks to sign in: no figures of ours.
      if (request.status !== 200 || !fresh.body.hasAttribute('data-next')) return location.replace(wanted);
      gone = null;
      document.documentElement.replaceChild(document.adoptNode(fresh.body), document.body);
      setTimeout(next, EVERY_MS);
    };
    request.onerror = request.ontimeout = failed;
    request.send();
  }

  setTimeout(next, EVERY_MS);
})();
