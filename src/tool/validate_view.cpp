#include "tool/validate_view.hpp"

#include <algorithm>
#include <array>

#include "base/rfc3339.hpp"
#include "logging/format.hpp"
#include "tool/status_json.hpp"

namespace ztna::tool {
namespace {

constexpr std::array all_standings = {Standing::met, Standing::not_met, Standing::open};

auto counted(const std::vector<Criterion>& criteria, Standing standing) {
  return std::ranges::count(criteria, standing, &Criterion::standing);
}

// "15 met, 2 not met, 3 open"
std::string sum(const std::vector<Criterion>& criteria) {
  std::string text;
  for (const Standing standing : all_standings) {
    text += (text.empty() ? "" : ", ") + std::to_string(counted(criteria, standing)) + " " +
            std::string(to_string(standing));
  }
  return text;
}

std::string mark(Standing standing) {
  switch (standing) {
    case Standing::met: return "[x]";
    case Standing::not_met: return "[ ]";
    case Standing::open: return "[?]";
  }
  return "[?]";
}

// Of a table's cell: no bar may end it.
std::string cell(const std::string& text) {
  std::string safe;
  for (const char c : logging::escaped(text)) {
    if (c == '|') safe += '\\';
    safe += c;
  }
  return safe;
}

}  // namespace

std::string criteria_text(const std::vector<Criterion>& criteria) {
  std::string text, part;
  for (const Criterion& each : criteria) {
    if (each.part != part) text += (text.empty() ? "" : "\n") + each.part + "\n";
    part = each.part;
    text += "  " + mark(each.standing) + " " + each.text + "\n      " +
            logging::escaped(each.evidence) + "\n";
    if (!each.todo.empty()) text += "      -> " + logging::escaped(each.todo) + "\n";
  }
  return text + "\n[x] met, [ ] not met, [?] open: " + sum(criteria) + "\n";
}

std::string criteria_json(const std::vector<Criterion>& criteria) {
  Json all = Json::array();
  for (const Criterion& each : criteria) {
    all.push_back({{"part", each.part},
                   {"text", each.text},
                   {"standing", to_string(each.standing)},
                   {"evidence", each.evidence},
                   {"todo", each.todo}});
  }
  const Json json = {{"criteria", std::move(all)},
                     {"met", counted(criteria, Standing::met)},
                     {"not_met", counted(criteria, Standing::not_met)},
                     {"open", counted(criteria, Standing::open)}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string criteria_record(const std::vector<Criterion>& criteria, const std::string& name,
                            base::WallTime at) {
  std::string text = "\n## " + logging::escaped(name) + "\n\n" + base::rfc3339(at) +
                     ", by `ztna validate`: " + sum(criteria) + "\n\n" +
                     "| | criterion | evidence |\n|---|---|---|\n";
  for (const Criterion& each : criteria) {
    text += "| " + mark(each.standing) + " | " + each.part + ": " + cell(each.text) + " | " +
            cell(each.evidence) + (each.todo.empty() ? "" : "; to do: " + cell(each.todo)) + " |\n";
  }
  return text;
}

}  // namespace ztna::tool
