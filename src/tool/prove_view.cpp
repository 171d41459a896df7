#include "tool/prove_view.hpp"

#include <algorithm>

#include "base/rfc3339.hpp"
#include "logging/format.hpp"
#include "tool/status_json.hpp"
#include "tool/text_table.hpp"

namespace ztna::tool {
namespace {

// "  sentence", wrapped at a width that terminals and documents have.
std::string wrapped(std::string_view indent, const std::string& sentence) {
  constexpr std::size_t width = 100;
  std::string out, line(indent);
  std::size_t at = 0;
  while (at < sentence.size()) {
    const std::size_t end = std::min(sentence.find(' ', at), sentence.size());
    const std::string word = sentence.substr(at, end - at);
    if (line.size() > indent.size() && text_width(line) + 1 + text_width(word) > width) {
      out += line + "\n";
      line = indent;
    }
    if (line.size() > indent.size()) line += ' ';
    line += word;
    at = end + 1;
  }
  return out + line + "\n";
}

std::size_t passed(const proof::Verdict& verdict) {
  return static_cast<std::size_t>(
      std::ranges::count_if(verdict.tests, [](const proof::Test& test) { return test.passed; }));
}

}  // namespace

std::string proof_text(const proof::Report& report, const proof::Verdict& verdict,
                       const std::string& checked_by) {
  std::string out = logging::escaped(report.service) + ": " + std::to_string(passed(verdict)) +
                    " of " + std::to_string(verdict.tests.size()) + " tests passed\n";
  for (const proof::Test& test : verdict.tests) {
    out += "  " + std::to_string(test.number) + "  " + (test.passed ? "ok    " : "FAILED") + "  " +
           test.title + "\n";
    out += wrapped("             ", logging::escaped(test.evidence));
  }
  out += "\n";
  out += text_table("", {{"stated by", logging::escaped(verdict.agent)},
                         {"", logging::escaped(verdict.connector)},
                         {"", logging::escaped(verdict.intermediate)},
                         {"signatures", logging::escaped(checked_by)},
                         {"from", base::rfc3339(verdict.from)},
                         {"to", base::rfc3339(verdict.to)}});
  out += "\nNo such proof can exclude:\n";
  for (const std::string& sentence : proof::cannot_exclude()) out += wrapped("  ", sentence);
  return out;
}

std::string proof_json(const proof::Verdict& verdict) {
  Json tests = Json::array();
  for (const proof::Test& test : verdict.tests) {
    tests.push_back({{"number", test.number},
                     {"title", test.title},
                     {"passed", test.passed},
                     {"evidence", test.evidence}});
  }
  const Json json = {
      {"proven", verdict.proven()},          {"agent", verdict.agent},
      {"connector", verdict.connector},      {"intermediate", verdict.intermediate},
      {"from", base::rfc3339(verdict.from)}, {"to", base::rfc3339(verdict.to)},
      {"tests", std::move(tests)},           {"cannot_exclude", proof::cannot_exclude()}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace ztna::tool
