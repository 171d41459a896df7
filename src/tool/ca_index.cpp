#include "tool/ca_index.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/bytes.hpp"
#include "base/rfc3339.hpp"

namespace ztna::tool {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const IndexEntry& entry) {
  return {
      {"serial", entry.serial},  {"spki", entry.spki},   {"role", identity::to_string(entry.role)},
      {"name", entry.name},      {"serve", entry.serve}, {"not_after", entry.not_after.seconds},
      {"revoked", entry.revoked}};
}

IndexEntry from_json(const Json& line) {
  IndexEntry entry;
  entry.serial = line.at("serial").get<std::string>();
  entry.spki = line.at("spki").get<std::string>();
  const auto role = identity::parse_role(line.at("role").get<std::string>());
  if (!role) throw std::invalid_argument("the role is not intermediate, connector or agent");
  entry.role = *role;
  entry.name = line.at("name").get<std::string>();
  entry.serve = line.at("serve").get<std::vector<std::string>>();
  entry.not_after.seconds = line.at("not_after").get<std::int64_t>();
  entry.revoked = line.at("revoked").get<bool>();
  return entry;
}

std::string status_of(const IndexEntry& entry, base::WallTime now) {
  if (entry.revoked) return "revoked";
  return now > entry.not_after ? "expired" : "valid";
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ",") + word;
  return text.empty() ? "-" : text;
}

}  // namespace

IndexEntry to_entry(const identity::Issued& issued) {
  const identity::Principal& principal = issued.principal;
  return {issued.serial,   base::to_hex(principal.spki), principal.role, principal.name,
          principal.serve, principal.not_after,          false};
}

base::Result<std::vector<IndexEntry>> parse_index(std::string_view text, const std::string& where) {
  std::vector<IndexEntry> entries;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    try {
      entries.push_back(from_json(Json::parse(line)));
    } catch (const std::exception& error) {
      return base::fail(base::ErrorCode::invalid_argument,
                        "the index is damaged, expected one JSON object a line",
                        where + ":" + std::to_string(number), error.what());
    }
  }
  return entries;
}

std::string format_index(const std::vector<IndexEntry>& entries) {
  std::string text;
  for (const IndexEntry& entry : entries) text += to_json(entry).dump() + "\n";
  return text;
}

std::string format_list_json(const std::vector<IndexEntry>& entries, base::WallTime now) {
  Json list = Json::array();
  for (const IndexEntry& entry : entries) {
    Json item = to_json(entry);
    item["not_after"] = base::rfc3339(entry.not_after);
    item["status"] = status_of(entry, now);
    list.push_back(std::move(item));
  }
  return list.dump(2) + "\n";
}

std::string format_list_table(const std::vector<IndexEntry>& entries, base::WallTime now) {
  std::vector<std::vector<std::string>> rows = {
      {"STATUS", "ROLE", "NAME", "SERVES", "NOT AFTER", "SERIAL", "SPKI"}};
  for (const IndexEntry& entry : entries) {
    rows.push_back({status_of(entry, now), std::string(identity::to_string(entry.role)), entry.name,
                    joined(entry.serve), base::rfc3339(entry.not_after), entry.serial, entry.spki});
  }
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i) {
      text += row[i] + std::string(widths[i] - row[i].size() + 2, ' ');
    }
    text += row.back() + "\n";
  }
  return text;
}

}  // namespace ztna::tool
