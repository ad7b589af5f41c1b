// Shows the contract of each filter that the text means: a name, a filter_type, or a glob over either.
document.addEventListener("DOMContentLoaded", function () {
  function glob(pattern) {
    var source = pattern.replace(/[.+^${}()|\\]/g, "\\$&").replace(/\*/g, ".*").replace(/\?/g, ".").replace(/\[!/g, "[^");
    try {
      return new RegExp("^" + source + "$");
    } catch (error) {
      return /^$/;
    }
  }

  document.querySelectorAll("[data-contracts]").forEach(function (box) {
    var text = document.getElementById(box.dataset.contracts);
    var list = document.querySelector('select[data-fills="' + box.dataset.contracts + '"]');
    var contracts = Array.from(box.querySelectorAll(".webfilters-contract"));

    function show() {
      var pattern = glob(text.value.trim());
      var meant = contracts.filter(function (contract) {
        contract.hidden = !(pattern.test(contract.dataset.name) || pattern.test(contract.dataset.type));
        return !contract.hidden;
      });
      meant.forEach(function (contract) {
        contract.open = meant.length === 1;
      });
      box.querySelector(".webfilters-count").hidden = meant.length < 2;
    }

    text.addEventListener("input", show);
    list.addEventListener("change", show);
    show();
  });
});
