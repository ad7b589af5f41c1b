// Choosing an event fills the text beside the list; typing lets go of the choice.
document.addEventListener("DOMContentLoaded", function () {
  document.querySelectorAll("select[data-fills]").forEach(function (list) {
    var text = document.getElementById(list.dataset.fills);
    list.addEventListener("change", function () {
      if (list.value) {
        text.value = list.value;
      }
    });
    text.addEventListener("input", function () {
      list.value = "";
    });
  });
});
