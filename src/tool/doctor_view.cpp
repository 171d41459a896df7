#include "tool/doctor_view.hpp"

#include <algorithm>

#include "logging/format.hpp"
#include "tool/status_json.hpp"
#include "tool/text_table.hpp"

namespace ztna::tool {
namespace {

std::string counted(const std::vector<Finding>& findings, Verdict verdict,
                    const std::string& word) {
  const auto count = std::ranges::count(findings, verdict, &Finding::verdict);
  if (count == 0) return "no " + word + "s";
  return std::to_string(count) + " " + word + (count == 1 ? "" : "s");
}

}  // namespace

std::string findings_text(const std::vector<Finding>& findings) {
  std::vector<std::vector<std::string>> rows;
  for (const Finding& finding : findings) {
    const bool wrong = finding.verdict == Verdict::problem;
    rows.push_back({wrong ? "PROBLEM" : std::string(to_string(finding.verdict)), finding.check,
                    logging::escaped(finding.text)});
    if (!finding.todo.empty()) rows.push_back({"", "", "-> " + logging::escaped(finding.todo)});
  }
  return text_table("", rows) + "\n" + counted(findings, Verdict::problem, "problem") + ", " +
         counted(findings, Verdict::warning, "warning") + "\n";
}

std::string findings_json(const std::vector<Finding>& findings) {
  Json all = Json::array();
  for (const Finding& finding : findings) {
    all.push_back({{"check", finding.check},
                   {"status", to_string(finding.verdict)},
                   {"text", finding.text},
                   {"todo", finding.todo}});
  }
  return all.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace ztna::tool
